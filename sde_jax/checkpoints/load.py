"""Official weights as a model, in one call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax import nn
from sde_jax.checkpoints.score_sde import to_params
from sde_jax.checkpoints.score_sde_config import official_model
from sde_jax.checkpoints.score_sde_file import OfficialCheckpoint, read_official
from sde_jax.errors import InputError
from sde_jax.nn import Architecture
from sde_jax.prediction import denoiser
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Params, Time


@in_one_line
@dataclass(frozen=True)
class Weights:
    """A network's weights, and what else of its training there is, as parameters of ours, NumPy arrays.

    params, averages: the last, and their moving averages; mean, square: Adam's moments of the gradient, or None; step:
    updates done.
    """

    params: Params
    averages: Params
    mean: Params | None = None
    square: Params | None = None
    step: int = 0


def load_score_sde(
    path: Path | str, config: Mapping[str, Any], *, averaged: bool = True
) -> tuple[GaussianPath, Callable[[Array, Time], Array], Denoiser]:
    """Return `(sde, model, denoise)` of a checkpoint of the official code (Song et al. 2021), PyTorch's or JAX's.

    `config` is the official configuration's values, {"model": {"nf": 128, ...}, ...} or {"model.nf": 128, ...}. `model`
    is the network, called as model(x, label) with one image [height, width, channels] in the range of its data, [0, 1]
    where they are not centred, and the scalar label that its SDE has for a time; `denoise` is (x, t) ->
    E[x_0 | x_t = x], for `sample` and `log_likelihood`. The weights are the averaged ones unless `averaged` is False.
    No pickle is executed. Raises `InputError` as `official_model` and `read_official` do, and where the weights are not
    of this network, naming the first differences.
    """
    official = official_model(config)
    weights = official_weights(read_official(path), official.network, official.shape, path)
    model: Any = nn.restored(official.network, official.shape, weights.averages if averaged else weights.params)
    return official.sde, model, denoiser(lambda x, noise: model(x, noise), official.sde, official.parameterization)


def official_weights(
    checkpoint: OfficialCheckpoint, network: Architecture, shape: tuple[int, ...], path: Path | str
) -> Weights:
    """Return the weights of a network for examples of `shape` that an official checkpoint holds.

    Raises `InputError`, which names the file and the first differences, where it holds those of another network.
    """
    _, params = nn.abstract(network, shape)

    def ours(named: Mapping[str, np.ndarray]) -> Params:
        return to_params(network, params, named, checkpoint.layout)

    try:
        mean, square = (None if named is None else ours(named) for named in (checkpoint.mean, checkpoint.square))
        weights = Weights(ours(checkpoint.params), ours(checkpoint.averages), mean, square, checkpoint.step)
        require_finite(weights)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return weights


def require_finite(weights: Weights) -> None:
    """Raise `InputError` where a weight is NaN or infinite."""
    for tree in (weights.params, weights.averages):
        for where, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(where, simple=True, separator=".")
                raise InputError(f"{name} holds NaN or infinity: expected the weights of a trained network")
