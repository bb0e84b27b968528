"""An official configuration as an experiment of ours."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sde_jax import paper
from sde_jax.checkpoints import Values, official_model
from sde_jax.data import Images
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment
from sde_jax.nn import NCSN, NCSNpp, NCSNv2
from sde_jax.objective import HalfSum, Likelihood, Mean, Simple
from sde_jax.placing import ordinary
from sde_jax.sampling import Ancestral, ReverseDiffusion
from sde_jax.sde import DDPM, SMLD, VE
from sde_jax.training import Adam, ExponentialAverage


def official_values(path: Path) -> Mapping[str, Any]:
    """Return the values of an official configuration in a JSON file; raises `InputError` where it holds none."""
    try:
        values = json.loads(ordinary(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected the values of an official configuration, a JSON object")
    return values


def official_experiment(config: Mapping[str, Any]) -> Experiment:
    """Return the experiment of an official configuration's values: its model, objective and training.

    Samplers and likelihood are those that the paper's experiments have on that SDE (`paper`), with the configuration's
    signal-to-noise ratio and numbers of steps; the data are DATASET.zip, a name for `--config.data.path` to change.
    Raises `InputError` as `official_model` does.
    """
    values, official = Values(config), official_model(config)
    usual = _usual(values, official.sde, official.network)
    weighting = Likelihood() if values("training.likelihood_weighting", bool, False) else Simple()
    reduction = Mean() if values("training.reduce_mean", bool, False) else HalfSum()
    return replace(
        usual,
        data_range=official.data_range,
        sde=official.sde,
        network=official.network,
        objective=replace(
            usual.objective,
            parameterization=official.parameterization,
            weighting=weighting,
            reduction=reduction,
        ),
        training=replace(
            usual.training,
            steps=values("training.n_iters", int, usual.training.steps),
            batch_size=values("training.batch_size", int, usual.training.batch_size),
            flip=values("data.random_flip", bool, usual.training.flip),
            optimizer=Adam(
                learning_rate=values("optim.lr", float, 2e-4),
                warmup=values("optim.warmup", int, 5000),
                clip=max(values("optim.grad_clip", float, 1.0), 0.0),
                b1=values("optim.beta1", float, 0.9),
                eps=values("optim.eps", float, 1e-8),
                from_zero=True,
            ),
            average=ExponentialAverage(values("model.ema_rate", float, 0.9999)),
        ),
    )


def _usual(values: Values, sde: Any, network: Any) -> Experiment:
    """Return the paper's experiment on such an SDE, in all that the configuration leaves open."""
    data = Images(f"{values('data.dataset', str, 'images').lower()}.zip")
    snr, moves = values("sampling.snr", float, 0.16), values("sampling.n_steps_each", int, 1)
    training = paper.training(decay=0.9999)
    if isinstance(sde, SMLD):
        if isinstance(network, NCSN | NCSNv2):
            return paper.annealed(sde, snr, moves, data, network, training)
        return paper.smld(sde, snr, data, network, training)
    if isinstance(sde, VE):
        return paper.ve(sde, values("model.num_scales", int), snr, data, NCSNpp(), training)
    if isinstance(sde, DDPM):
        predictor = ReverseDiffusion() if values("sampling.predictor", Any, "") == "reverse_diffusion" else Ancestral()
        return paper.ddpm(sde, predictor, data, network, training)
    return paper.vp(sde, data, network, training)
