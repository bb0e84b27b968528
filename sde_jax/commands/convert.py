"""`sde-jax convert`: a run of our own from weights of other projects, or from a published model."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sde_jax.checkpoints import Weights, official_model, official_weights, read_official
from sde_jax.commands.official_experiment import official_values
from sde_jax.commands.settings import resolve
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment
from sde_jax.model import Record
from sde_jax.training import Checkpoints, TrainState

LEVELS = 256


def run(
    checkpoint: Path,
    directory: Path,
    config: str | None,
    overrides: Mapping[str, str],
    shape: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Write a run whose newest checkpoint holds the weights of a file; return what was found in it.

    The run can be sampled from, scored and trained on, as if it had been trained here. Nothing is written unless all of
    the weights fit. Raises `InputError` where they do not, and where the directory holds a run already.
    """
    if (directory / "config.json").exists():
        raise InputError(f"{directory}: holds a run already; choose another --workdir")
    if config is None:
        raise InputError(f"{checkpoint}: expected --config, the config of the network that these weights are of")
    found = read_official(checkpoint)
    experiment = resolve(config, overrides)
    record = Record(experiment, _shape(shape, Path(config), experiment), LEVELS)
    weights = official_weights(found, experiment.network, record.shape, checkpoint)
    state = train_state(weights, experiment)
    workdir = Workdir(directory)
    with workdir.open_for(record), Checkpoints(workdir.checkpoints, experiment.training.keep) as checkpoints:
        position = weights.step * experiment.training.batch_size
        checkpoints.save(state, {"run": record.to_json(), "data_position": position})
    return {
        "checkpoint": str(checkpoint),
        "workdir": str(directory),
        "network": type(experiment.network).__name__,
        "shape": list(record.shape),
        "parameters": sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(weights.params)),
        "step": weights.step,
        "averages": weights.averages is not weights.params,
        "optimizer": weights.mean is not None,
    }


def train_state(weights: Weights, experiment: Experiment) -> TrainState:
    """Return the state from which training goes on: Adam's moments as they were, or fresh where there are none."""
    params, averages = (jax.tree.map(jnp.asarray, tree) for tree in (weights.params, weights.averages))
    optimizer = experiment.training.optimizer.transformation().init(params)
    if weights.mean is not None:
        count = jnp.asarray(weights.step, jnp.int32)
        moments = {"mu": weights.mean, "nu": weights.square}
        optimizer = optax.tree.set(optimizer, count=count, **jax.tree.map(jnp.asarray, moments))
    return TrainState(jnp.asarray(weights.step, jnp.int32), params, averages, optimizer)


def _shape(given: tuple[int, ...] | None, config: Path, experiment: Experiment) -> tuple[int, ...]:
    """Return the shape of an example: as given, as an official configuration says, or as the data have it."""
    if given is None and config.suffix == ".json":
        return official_model(official_values(config)).shape
    return given or experiment.data.open().shape
