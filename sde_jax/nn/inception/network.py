"""Inception-v3 as a network: its table, with weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.nn.inception.layers import Chain, Conv, Fork
from sde_jax.nn.inception.table import CLASSES, NETWORK
from sde_jax.nn.network import Network
from sde_jax.nn.reading import Reading
from sde_jax.typing import Array

SIZE = 299
"""Pixels of an image's sides in the convention."""
SMALLEST = 75
"""Of fewer, some layer would leave nothing."""
EXACT = jax.lax.Precision.HIGHEST
"""Else an accelerator rounds operands to 8 or 11 bits, and a distance between features depends on the machine."""


@dataclass(frozen=True)
class InceptionV3:
    """The network (x [height, width, 3] in [-1, 1]) -> `Reading`; its products are of full precision on every device.

    A convolution is followed by batch normalisation and relu; at inference the former is affine, and part of kernel and
    bias here. logit_bias: whether the logits have theirs; the Inception Score is defined on those without.
    """

    logit_bias: bool = False

    def build(self, shape: tuple[int, ...] = (SIZE, SIZE, 3), *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network, its weights 0 until they are given.

        Raises `InputError` unless `shape` is that of an image with three channels, large enough for all layers.
        """
        if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < SMALLEST:
            least = f"[height, width, 3] of {SMALLEST} pixels or more"
            raise InputError(f"Inception-v3: an image has shape {shape}, expected {least}")
        return _InceptionV3(self.logit_bias, rngs)


class _InceptionV3(Network):
    def __init__(self, logit_bias: bool, rngs: nnx.Rngs):
        found, outputs = convolutions(NETWORK, 3)
        self.convs = nnx.Dict({name: _layer(conv, inputs, rngs) for name, (conv, inputs) in found.items()})
        zeros = nnx.initializers.zeros
        self.fc = nnx.Linear(outputs, CLASSES, use_bias=logit_bias, kernel_init=zeros, precision=EXACT, rngs=rngs)

    def __call__(self, x: Float[Array, "h w 3"]) -> Reading:
        features = jnp.mean(run(NETWORK, self.convs, x), (0, 1))
        return Reading(features, self.fc(features))


def run(chain: Chain, convs: Mapping[str, Callable[[Array], Array]], x: Array, block: str = "") -> Array:
    """Return what a chain makes of x; `convs` are its convolutions by name, `block` what their names begin with."""
    for layer in chain:
        if isinstance(layer, Conv):
            x = jax.nn.relu(convs[block + layer.name](x))
        elif isinstance(layer, Fork):
            x = jnp.concatenate([run(branch, convs, x, block + layer.name) for branch in layer.branches], -1)
        else:
            x = layer(x)
    return x


def convolutions(chain: Chain, inputs: int, block: str = "") -> tuple[Mapping[str, tuple[Conv, int]], int]:
    """Return the convolutions of a chain by name, each with the channels that it reads, and how many come out."""
    found: dict[str, tuple[Conv, int]] = {}
    for layer in chain:
        if isinstance(layer, Conv):
            found[block + layer.name], inputs = (layer, inputs), layer.channels
        elif isinstance(layer, Fork):
            parts = [convolutions(branch, inputs, block + layer.name) for branch in layer.branches]
            found.update(entry for entries, _ in parts for entry in entries.items())
            inputs = sum(outputs for _, outputs in parts)
    return found, inputs


def _layer(conv: Conv, inputs: int, rngs: nnx.Rngs) -> nnx.Conv:
    window, padding = (conv.height, conv.width), "VALID" if conv.inside else "SAME"
    zeros = nnx.initializers.zeros
    kernel = {"strides": conv.stride, "padding": padding, "kernel_init": zeros, "precision": EXACT}
    return nnx.Conv(inputs, conv.channels, window, rngs=rngs, **kernel)  # type: ignore[arg-type]
