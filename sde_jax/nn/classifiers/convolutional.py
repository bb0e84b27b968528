"""A small convolutional classifier of images."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.nn.layers import conv3x3, dense
from sde_jax.nn.network import Network
from sde_jax.nn.norms import GroupNorm
from sde_jax.nn.reading import Reading
from sde_jax.typing import Array


@dataclass(frozen=True)
class Convolutional:
    """h = swish(GroupNorm(conv(h))) for each of `channels`, each at half the resolution of the one before.

    The features are swish(W mean(h) + b), the mean over the pixels. Convolutions that halve the resolution at once are
    cheap, also where convolutions are slow. Raises `InputError` where a field is out of range.
    """

    classes: int
    features: int = 128
    channels: tuple[int, ...] = (64, 128, 256)

    def __post_init__(self):
        if not (whole(self.classes, 2) and self.channels and all(whole(n, 1) for n in (self.features, *self.channels))):
            raise InputError(f"{self}: expected 2 or more classes, and features and channels of 1 or more")

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for images of `shape`; raises `InputError` for others, and as `GroupNorm` does."""
        if len(shape) != 3:
            raise InputError(f"an example has shape {tuple(shape)}, expected an image [height, width, channels]")
        return _Convolutional(self, shape, rngs)


class _Convolutional(Network):
    def __init__(self, config: Convolutional, shape: tuple[int, ...], rngs: nnx.Rngs):
        inputs = (shape[-1], *config.channels[:-1])
        pairs = zip(inputs, config.channels, strict=True)
        self.convs = nnx.List([conv3x3(i, o, stride=2, rngs=rngs) for i, o in pairs])
        self.norms = nnx.List([GroupNorm(count) for count in config.channels])
        self.features = dense(config.channels[-1], config.features, rngs=rngs)
        self.out = dense(config.features, config.classes, rngs=rngs)

    def __call__(self, x: Float[Array, "h w c"]) -> Reading:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = jax.nn.swish(norm(conv(x)))
        features = jax.nn.swish(self.features(jnp.mean(x, (0, 1))))
        return Reading(features, self.out(features))
