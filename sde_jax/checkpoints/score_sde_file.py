"""What an official checkpoint holds: parameters, their averages, Adam's moments, the step."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.checkpoints.files import read_checkpoint
from sde_jax.checkpoints.score_sde import FlaxLayout, Layout, TorchLayout
from sde_jax.checkpoints.tree import flatten
from sde_jax.errors import InputError, shown

Named = dict[str, np.ndarray]
"""Arrays by their official names."""

FLAX_MODULE = re.compile(r"[A-Z]\w*_\d+(/|$)")
"""How the names of modules begin in Flax's files, such as Conv_0."""


@dataclass(frozen=True)
class OfficialCheckpoint:
    """The arrays of an official checkpoint, by the names of its `layout`.

    params, averages: of the network, the same where the file has one set alone; mean, square: Adam's moments of the
    gradient, None where the file has none; step: updates done, Adam's own where it counts them.
    """

    layout: Layout
    params: Named
    averages: Named
    mean: Named | None
    square: Named | None
    step: int


def read_official(path: Path | str) -> OfficialCheckpoint:
    """Return the checkpoint in a file of the official PyTorch or JAX code (Song et al. 2021).

    PyTorch's is {model, ema, optimizer, step}; JAX's, flax's msgpack of {params_ema, optimizer, step, ...}. The network
    alone, arrays by PyTorch's names or by Flax's (nested, or joined by "/"), will do as well. Raises `InputError` for
    everything else, and as `read_checkpoint` does.
    """
    content = read_checkpoint(path)
    if isinstance(content, Mapping):
        try:
            checkpoint = _recognised(content, path)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{path}: not as the official code writes it ({shown(repr(error))})") from error
        if checkpoint is not None:
            return checkpoint
    names = ", ".join(map(shown, list(content)[:4])) if isinstance(content, Mapping) else type(content).__name__
    raise InputError(
        f"{path}: holds {names}: expected an official checkpoint, {{model, ema, optimizer, step}} of PyTorch or "
        "{params_ema, optimizer, step} of JAX"
    )


def _recognised(content: Mapping[str, Any], path: Path | str) -> OfficialCheckpoint | None:
    if isinstance(content.get("model"), Mapping):
        return _torch(content, path)
    if "params_ema" in content:
        return _flax(content, path)
    if any(str(name).removeprefix("module.").startswith("all_modules.") for name in content):
        return _torch({"model": content}, path)
    network = _inside(content)
    if isinstance(network, Mapping) and any(FLAX_MODULE.match(str(name)) for name in network):
        return _flax({"params_ema": network}, path)
    return None


def _torch(content: Mapping[str, Any], path: Path | str) -> OfficialCheckpoint:
    params = {str(name).removeprefix("module."): array for name, array in content["model"].items()}
    params.pop("sigmas", None)  # a buffer that the configuration determines
    trainable = [name for name in params if not name.endswith(".W") or params[name].ndim > 1]
    shadow = content["ema"]["shadow_params"] if "ema" in content else None
    averages = params if shadow is None else {**params, **_zipped(trainable, shadow, params, f"{path}: ema")}
    mean, square = _torch_moments(content, list(params), params, path)
    return OfficialCheckpoint(TorchLayout(), params, averages, mean, square, _step(content.get("step", 0), path))


def _zipped(names: Sequence[str], arrays: Sequence[Any], params: Named, what: str) -> Named:
    """Return the arrays of a bare list by the names that the list leaves out; only shapes can tell a wrong order."""
    if len(arrays) != len(names):
        raise InputError(f"{what}: {len(arrays)} arrays for {len(names)} trainable parameters")
    for name, array in zip(names, arrays, strict=True):
        if np.shape(array) != params[name].shape:
            raise InputError(f"{what}: {list(np.shape(array))} for {name}, expected {list(params[name].shape)}")
    return dict(zip(names, arrays, strict=True))


def _torch_moments(
    content: Mapping[str, Any], names: list[str], params: Named, path: Path | str
) -> tuple[Named | None, Named | None]:
    """Return Adam's moments by name: PyTorch numbers all parameters, the frozen ones too, and has none of these."""
    state = content.get("optimizer", {}).get("state", {})
    if not state:
        return None, None
    if not all(isinstance(index, int) and 0 <= index < len(names) for index in state):
        raise InputError(f"{path}: optimizer: numbers up to {max(state, key=str)} for {len(names)} parameters")
    moments = []
    for kind in ("exp_avg", "exp_avg_sq"):
        found = _zipped([names[i] for i in state], [slot[kind] for slot in state.values()], params, f"{path}: {kind}")
        frozen = {name: np.zeros_like(array) for name, array in params.items() if name not in found}
        moments.append({name: {**found, **frozen}[name] for name in params})
    return moments[0], moments[1]


def _flax(content: Mapping[str, Any], path: Path | str) -> OfficialCheckpoint:
    averages = flatten(_inside(content["params_ema"]))
    optimizer = content.get("optimizer") or {}
    params = flatten(_inside(optimizer["target"])) if "target" in optimizer else averages
    slots = optimizer.get("state", {}).get("param_states")
    mean = square = None
    if slots:
        named = flatten(_inside(slots))
        mean, square = (
            {name.removesuffix(f"/{kind}"): array for name, array in named.items() if name.endswith(f"/{kind}")}
            for kind in ("grad_ema", "grad_sq_ema")
        )
    return OfficialCheckpoint(FlaxLayout(), params, averages, mean, square, _step(content.get("step", 0), path))


def _inside(tree: Any) -> Any:
    return tree["params"] if isinstance(tree, Mapping) and set(tree) == {"params"} else tree


def _step(value: Any, path: Path | str) -> int:
    if np.ndim(value) or not float(value).is_integer() or not 0 <= value < 2**31:
        raise InputError(f"{path}: step = {value!r}: expected a whole number")
    return int(value)
