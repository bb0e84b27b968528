"""The trained networks of Karras et al. 2022 (EDM): DDPM++ and NCSN++, with or without classes."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.checkpoints.edm_architecture import edm_architecture, without_prefix
from sde_jax.checkpoints.edm_table import table
from sde_jax.checkpoints.files import read_checkpoint
from sde_jax.checkpoints.tree import flatten, require_match
from sde_jax.errors import InputError, whole
from sde_jax.nn import ClassLabel, NCSNpp, abstract, functional, restored
from sde_jax.prediction import EDM, denoiser
from sde_jax.sde import EDMPath
from sde_jax.typing import Array, Denoiser, Params, Time


def load_edm(
    source: str | os.PathLike[str] | Mapping[str, Any], condition: int | None = None
) -> tuple[EDMPath, Any, Denoiser]:
    """Return the path, the network and the denoiser of a network trained with EDM's preconditioning.

    source: a file that `read_checkpoint` reads, or the state dict {name: array} itself. EDM publishes pickles that
    contain code, which are refused: in EDM's own environment, save `net.state_dict()` with safetensors.
    condition: the class that the denoiser knows, of a network with classes; None for none.

    The path has sigma in [0, 80], and sigma_data is 0.5: what all published networks have. The preconditioning is not
    in the weights: for networks trained with that of VP or VE, `edm_architecture` and `edm_params` give the network
    alone. Raises `InputError` where they do, and for a class that the network does not have.
    """
    state = read_checkpoint(source) if isinstance(source, str | os.PathLike) else source
    architecture, shape = edm_architecture(state)
    _require_class(architecture, condition)
    model, sde = restored(architecture, shape, edm_params(state)), EDMPath()
    apply, params = functional(model)
    token = None if condition is None else np.int32(condition)

    def network(x: Array, noise: Time) -> Array:
        return apply(params, x, noise, condition=token)

    return sde, model, denoiser(network, sde, EDM())


def edm_params(state: Mapping[str, Any]) -> Params:
    """Return the parameters, NumPy arrays, of the network that `edm_architecture` tells of a state dict.

    map_augment is left out: the labels that it maps, of the augmentations in training, are zero for samples.
    Raises `InputError` as `edm_architecture` does, and where names or shapes are not those of that network, or weights
    no finite numbers.
    """
    architecture, shape = edm_architecture(state)
    state = without_prefix(state)
    like = abstract(architecture, shape)[1]
    leaves = flatten(like)
    levels, blocks = len(architecture.channel_multipliers), architecture.blocks_per_level
    rows = [row for row in table(levels, blocks, shape[0]) if row.ours in leaves]
    expected = {
        name: shape
        for row in rows
        for name, shape in zip(row.theirs, row.rule.theirs(leaves[row.ours].shape), strict=True)
    }
    dropped = {name for name in state if name.endswith(".resample_filter") or name == "map_augment.weight"}
    found = {name: tuple(array.shape) for name, array in state.items() if name not in dropped}
    require_match(found, expected, "EDM")
    for name in expected:
        _require_numbers(name, np.asarray(state[name]))
    arrays = {
        row.ours: np.asarray(row.rule.ours(*(np.asarray(state[name]) for name in row.theirs)), np.float32)
        for row in rows
    }
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in leaves])


def _require_numbers(name: str, array: np.ndarray) -> None:
    # not NumPy's own kinds alone: bfloat16 is none of them
    if not jnp.issubdtype(array.dtype, jnp.floating) or not np.isfinite(array.astype(np.float32)).all():
        what = "NaN or infinity" if jnp.issubdtype(array.dtype, jnp.floating) else f"{array.dtype} numbers"
        raise InputError(f"EDM: {name} holds {what}: expected the weights of a trained network, finite numbers")


def _require_class(architecture: NCSNpp, condition: int | None) -> None:
    classes = architecture.condition.classes if isinstance(architecture.condition, ClassLabel) else 0
    if condition is not None and not whole(condition, 0, classes - 1):
        expected = f"one of 0 ... {classes - 1}, or None" if classes else "None: it was trained without classes"
        raise InputError(f"EDM: condition is {condition!r}, which the network does not have: expected {expected}")
