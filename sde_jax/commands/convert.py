"""`sde-jax convert`: a run of our own from weights of other projects, or from a published model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sde_jax import nn, publishing
from sde_jax.checkpoints import (
    FlaxLayout,
    Weights,
    edm_architecture,
    edm_params,
    flatten,
    official_model,
    official_weights,
    read_checkpoint,
    read_official,
    require_match,
)
from sde_jax.commands.official_experiment import official_values
from sde_jax.commands.settings import opened, resolve
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Images
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Objective, Sampler
from sde_jax.model import Record
from sde_jax.objective import EDMWeighting, LogNormal
from sde_jax.prediction import EDM
from sde_jax.sampling import EDMHeun, ProbabilityFlow, grids
from sde_jax.sde import EDMPath
from sde_jax.training import ExponentialAverage, TrainState

LEVELS = 256


@dataclass(frozen=True)
class Found:
    """What a file or a directory holds: a model's record and its weights."""

    record: Record
    weights: Weights


def run(
    checkpoint: Path,
    directory: Path,
    config: str | None,
    overrides: Mapping[str, str],
    shape: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Write a run whose newest checkpoint holds the weights found at `checkpoint`; return what was found there.

    The run can be sampled from, scored and trained on, as if it had been trained here: Adam's moments come with it
    where the file has them, and under an official configuration its rate is warmed up from 0 and the average goes on
    by the rule of the code that wrote the file. `checkpoint` is a published model's directory; a state dict of EDM,
    which says itself what network it is of; or a checkpoint of the official code, whose network `config` describes.
    Nothing is written unless all of the weights fit, and all of it or nothing. Raises `InputError` where they do not,
    and where the directory holds anything already.
    """
    workdir = Workdir(directory)
    workdir.require_new("--workdir")
    found = _found(checkpoint, config, overrides, shape)
    experiment, weights = found.record.experiment, found.weights
    _require_fit(found, checkpoint)
    state = train_state(weights, experiment)
    with workdir.made(found.record) as checkpoints:
        position = weights.step * experiment.training.batch_size
        checkpoints.save(state, {"run": found.record.to_json(), "data_position": position})
    return {
        "checkpoint": str(checkpoint),
        "workdir": str(directory),
        "network": type(experiment.network).__name__,
        "shape": list(found.record.shape),
        "parameters": sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(weights.params)),
        "step": weights.step,
        "optimizer": weights.mean is not None,
    }


def train_state(weights: Weights, experiment: Experiment) -> TrainState:
    """Return the state from which training goes on: Adam's moments as they were, or fresh where there are none.

    All averages start from the one that the weights come with.
    """
    params, averages = (jax.tree.map(jnp.asarray, tree) for tree in (weights.params, weights.averages))
    settings = experiment.training
    fresh = TrainState.create(params, settings.optimizer.transformation(), settings.average)
    optimizer, step = fresh.optimizer, jnp.asarray(weights.step, jnp.int32)
    if weights.mean is not None:
        mean, square = (jax.tree.map(jnp.asarray, tree) for tree in (weights.mean, weights.square))
        optimizer = optax.tree.set(optimizer, count=step, mu=mean, nu=square)
    return replace(fresh, step=step, position=step, averages=settings.average.init(averages), optimizer=optimizer)


def edm_experiment() -> Experiment:
    """Return the experiment of EDM's published networks, all but the network (Karras et al. 2022, table 1).

    The sampler "pc" is their Heun's method in 18 steps, 35 evaluations. The data are images.zip, a name for
    `--config.data.path` to change.
    """
    return Experiment(
        data=Images("images.zip"),
        sde=EDMPath(),
        objective=Objective(EDM(), EDMWeighting(), LogNormal()),
        samplers={
            "pc": Sampler(EDMHeun(), steps=18, end=0.0, spacing=grids.Karras()),
            "ode": Sampler(ProbabilityFlow(), steps=18, end=1e-5),
        },
    )


def _found(checkpoint: Path, config: str | None, overrides: Mapping[str, str], shape: tuple[int, ...] | None) -> Found:
    if checkpoint.is_dir():
        _require_none(checkpoint, "a published model, whose config.json says its network and shape", config, shape)
        model = publishing.load(checkpoint)
        experiment = _changed(model.record.experiment, overrides)
        record = replace(model.record, experiment=experiment, contents=None, accepted=())
        return Found(record, Weights(model.params, model.params, step=model.step))
    if config is not None:
        found, experiment = read_official(checkpoint), resolve(config, overrides)
        if isinstance(found.layout, FlaxLayout) and config.endswith(".json"):
            experiment = _without_ramp(experiment, overrides)
        record = Record(experiment, _shape(shape, Path(config), experiment), LEVELS)
        return Found(record, official_weights(found, experiment.network, record.shape, checkpoint))
    content = read_checkpoint(checkpoint)
    if not (isinstance(content, Mapping) and any("map_layer0" in str(name) for name in content)):
        raise InputError(f"{checkpoint}: no weights of EDM: expected --config, the config of the network they are of")
    _require_none(checkpoint, "weights of EDM, which say their network and shape", config, shape)
    network, images = edm_architecture(content)
    params = edm_params(content)
    record = Record(_changed(replace(edm_experiment(), network=network), overrides), images, LEVELS)
    return Found(record, Weights(params, params))


def _without_ramp(experiment: Experiment, overrides: Mapping[str, str]) -> Experiment:
    """Return the experiment with the average of the official JAX code, which has no ramp, unless it was chosen."""
    average = experiment.training.average
    chosen = any(path.startswith("training.average") for path in overrides)
    if chosen or not isinstance(average, ExponentialAverage):
        return experiment
    return replace(experiment, training=replace(experiment.training, average=replace(average, ramp=False)))


def _require_none(checkpoint: Path, what: str, config: str | None, shape: tuple[int, ...] | None) -> None:
    given = [flag for flag, value in (("--config", config), ("--shape", shape)) if value is not None]
    if given:
        raise InputError(f"{checkpoint}: {what}: expected no {' and no '.join(given)}")


def _require_fit(found: Found, checkpoint: Path) -> None:
    """Raise `InputError` unless the weights are those of the network, which overrides may have changed."""
    _, expected = nn.abstract(found.record.experiment.network, found.record.shape)
    there, here = (
        {name: leaf.shape for name, leaf in flatten(tree).items()} for tree in (found.weights.params, expected)
    )
    require_match(there, here, str(checkpoint))


def _changed(experiment: Experiment, overrides: Mapping[str, Any]) -> Experiment:
    changed, problems = experiment.override(overrides)
    if problems:
        raise InputError("\n".join(problems))
    return changed


def _shape(given: tuple[int, ...] | None, config: Path, experiment: Experiment) -> tuple[int, ...]:
    """Return the shape of an example: as given, as an official configuration says, or as the data have it."""
    if given is None and config.suffix == ".json":
        return official_model(official_values(config)).shape
    return given or opened(experiment).shape
