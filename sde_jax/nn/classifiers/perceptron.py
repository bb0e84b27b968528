"""A classifier of dense layers, for tables, low dimensions and very small images."""

import math
from dataclasses import dataclass
from itertools import pairwise

import jax
from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.layers import dense
from sde_jax.nn.network import Network
from sde_jax.nn.reading import Reading
from sde_jax.typing import Array


@dataclass(frozen=True)
class Perceptron:
    """h = swish(W h + b) `depth` times, of `width` numbers, then once more, which are the features.

    Raises `InputError` where a field is out of range.
    """

    classes: int
    features: int = 128
    width: int = 256
    depth: int = 2

    def __post_init__(self):
        if not (whole(self.classes, 2) and all(whole(n, 1) for n in (self.features, self.width, self.depth))):
            raise InputError(f"{self}: expected 2 or more classes, and features, width and depth of 1 or more")

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape`."""
        return _Perceptron(self, shape, rngs)


class _Perceptron(Network):
    def __init__(self, config: Perceptron, shape: tuple[int, ...], rngs: nnx.Rngs):
        sizes = [math.prod(shape), *[config.width] * config.depth, config.features]
        self.layers = nnx.List([dense(*pair, rngs=rngs) for pair in pairwise(sizes)])
        self.out = dense(config.features, config.classes, rngs=rngs)

    def __call__(self, x: Array) -> Reading:
        h = x.reshape(-1)
        for layer in self.layers:
            h = jax.nn.swish(layer(h))
        return Reading(h, self.out(h))
