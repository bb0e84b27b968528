"""The weights of Inception-v3 in the names of its PyTorch ports, which pytorch-fid and torch-fidelity publish."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.checkpoints.files import read_checkpoint
from sde_jax.checkpoints.tree import require_match
from sde_jax.errors import InputError
from sde_jax.nn import Reading, outline, stateless
from sde_jax.nn.inception import SIZE, InceptionV3
from sde_jax.pytree import in_one_line
from sde_jax.typing import Array, Params

PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of the published file, `pt_inception-` or `weights-inception-2015-12-05-6726825d.pth`."""
EPSILON = 1e-3
"""Added to the variances of the batch normalisation."""


@in_one_line
class InceptionWeights(NamedTuple):
    """A network that was read from a file: (params, x) -> `Reading`, its parameters and the file's SHA-256."""

    read: Callable[[Params, Array], Reading]
    params: Params
    sha256: str

    @property
    def published(self) -> bool:
        """Whether the file is the one that published FIDs are measured with."""
        return self.sha256 == PUBLISHED


def read_inception(path: str | os.PathLike[str], architecture: InceptionV3 | None = None) -> InceptionWeights:
    """Return the network whose state dict is in a file of torch.save, safetensors or numpy.savez.

    In that of a convolution are `NAME.conv.weight` [out, in, height, width] and the batch normalisation's `NAME.bn.`
    `weight`, `bias`, `running_mean` and `running_var`; the last layer's are `fc.weight` [1008, 2048] and `fc.bias`.
    The normalisation y = (conv(x) - mean) weight / sqrt(var + 0.001) + bias becomes part of the convolution.

    Raises `InputError`, with the first differences, where the file holds the weights of another network or no finite
    numbers, and as `read_checkpoint` does.
    """
    state = read_checkpoint(path)
    read, like = stateless(outline(architecture or InceptionV3(), (SIZE, SIZE, 3)))
    try:
        params = jax.tree.map(np.float32, folded(state, like))
    except InputError as error:
        raise InputError(
            f"{path}: {error}; expected the state dict that pytorch-fid and torch-fidelity publish "
            f"(inception-2015-12-05-{PUBLISHED[:8]}.pth)"
        ) from None
    with Path(path).expanduser().open("rb") as file:
        return InceptionWeights(read, params, hashlib.file_digest(file, "sha256").hexdigest())


def folded(state: Any, like: Params) -> Params:
    """Return the parameters of a state dict in float64, in which a kernel times a scale is not rounded.

    like: the network's parameters, or their shapes. Raises `InputError` as `read_inception` does.
    """
    if not isinstance(state, Mapping) or not all(isinstance(a, np.ndarray | np.generic) for a in state.values()):
        raise InputError("no state dict, which has an array under every name")
    # How many batches trained the normalisation; some versions of PyTorch do not write it.
    found = {name: array for name, array in state.items() if not name.endswith(".num_batches_tracked")}
    expected = {name: shape for conv in like["convs"].items() for name, shape in _shapes(*conv).items()}
    expected |= {"fc.weight": like["fc"]["kernel"].shape[::-1], "fc.bias": like["fc"]["kernel"].shape[-1:]}
    require_match({name: array.shape for name, array in found.items()}, expected, "Inception-v3")
    arrays = {name: _numbers(name, array) for name, array in found.items()}
    fc = {"kernel": arrays["fc.weight"].T, "bias": arrays["fc.bias"]}
    return {
        "convs": {name: _folded(name, arrays) for name in like["convs"]},
        "fc": {name: fc[name] for name in like["fc"]},
    }


def _shapes(name: str, conv: Params) -> dict[str, tuple[int, ...]]:
    height, width, inputs, outputs = conv["kernel"].shape
    moments = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.conv.weight": (outputs, inputs, height, width), **{f"{name}.bn.{m}": (outputs,) for m in moments}}


def _folded(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    scale = arrays[f"{name}.bn.weight"] / np.sqrt(arrays[f"{name}.bn.running_var"] + EPSILON)
    kernel = arrays[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale
    bias = arrays[f"{name}.bn.bias"] - arrays[f"{name}.bn.running_mean"] * scale
    return {"kernel": kernel, "bias": bias}


def _numbers(name: str, array: np.ndarray) -> np.ndarray:
    # not NumPy's own kinds alone: bfloat16 is none of them
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"{name} holds {array.dtype} numbers; expected floats")
    numbers = np.asarray(array, np.float64)
    if not np.isfinite(numbers).all() or (name.endswith(".running_var") and (numbers < 0).any()):
        raise InputError(f"{name} holds NaN, infinity or a negative variance; expected those of a trained network")
    return numbers
