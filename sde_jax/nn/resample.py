"""Changes of resolution by two."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.nn import fir
from sde_jax.nn.layers import conv3x3, operands, variance_scaling
from sde_jax.typing import Array, Key

Resample = Callable[[Array], Array]
"""[height, width, channels] -> the same channels at twice or half the height and width."""


class Resampling(Protocol):
    """How images change resolution, as a run's configuration names it: by themselves, or with a 3 x 3 convolution."""

    def up(self, x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w c"]:
        """Return the image at twice the height and width."""
        ...

    def down(self, x: Float[Array, "2*h 2*w c"]) -> Float[Array, "h w c"]:
        """Return the image, of even height and width, at half of both."""
        ...

    def up_conv(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a layer [h, w, inputs] -> [2 h, 2 w, outputs]."""
        ...

    def down_conv(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a layer [2 h, 2 w, inputs] -> [h, w, outputs]."""
        ...


@dataclass(frozen=True)
class Box:
    """Squares of 2 x 2 equal pixels up, their mean down; or a convolution of the squares, and one of stride 2."""

    def up(self, x: Array) -> Array:
        """Return every pixel as a square."""
        return upsample_nearest(x)

    def down(self, x: Array) -> Array:
        """Return the mean of every square."""
        return downsample_mean(x)

    def up_conv(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a convolution of the squares."""
        return Resampled(self.up, conv3x3(inputs, outputs, rngs=rngs))

    def down_conv(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a convolution of stride 2 that continues the image by zeros to the right and below."""
        return conv3x3(inputs, outputs, stride=2, rngs=rngs)


@dataclass(frozen=True)
class FIR:
    """Through the separable filter `kernel`, which makes what is sampled band-limited (Zhang 2019; fir.py).

    Raises `InputError` unless `kernel` is a tuple of positive numbers.
    """

    kernel: tuple[float, ...] = (1, 3, 3, 1)

    def __post_init__(self):
        taps = self.kernel
        if not isinstance(taps, tuple) or not taps or not all(_is_positive(tap) for tap in taps):
            raise InputError(f"FIR: kernel is {taps!r}, expected a tuple of positive numbers, (1, 3, 3, 1) for example")

    def up(self, x: Array) -> Array:
        """Return the image with zeros between its pixels, filtered."""
        return fir.upsample(x, self.kernel)

    def down(self, x: Array) -> Array:
        """Return every second pixel of the filtered image."""
        return fir.downsample(x, self.kernel)

    def up_conv(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a convolution between the zeros and the filter."""
        return FilteredConv(fir.upsample_conv, inputs, outputs, self.kernel, rngs=rngs)

    def down_conv(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a convolution of stride 2 after the filter."""
        return FilteredConv(fir.conv_downsample, inputs, outputs, self.kernel, rngs=rngs)


def upsample_nearest(x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w c"]:
    """Return every pixel of `x` as a square of 2 x 2 equal pixels."""
    return x.repeat(2, axis=0).repeat(2, axis=1)


def downsample_mean(x: Float[Array, "2*h 2*w c"]) -> Float[Array, "h w c"]:
    """Return the mean of every square of 2 x 2 pixels of `x`, whose height and width are even."""
    height, width, channels = x.shape
    return jnp.mean(x.reshape(height // 2, 2, width // 2, 2, channels), axis=(1, 3))


class Resampled(nnx.Module):
    """conv(resample(x)), or resample(x) without a convolution."""

    def __init__(self, resample: Resample, conv: nnx.Conv | None = None):
        self.resample = resample
        self.conv = conv

    def __call__(self, x: Array) -> Array:
        """Return the image at its other resolution."""
        x = self.resample(x)
        return x if self.conv is None else self.conv(x)


class FilteredConv(nnx.Module):
    """A 3 x 3 convolution and a filter in one; kernel [3, 3, inputs, outputs] and bias [outputs], which starts at 0."""

    def __init__(self, operation: Callable[..., Array], inputs: int, outputs: int, taps: fir.Filter, *, rngs: nnx.Rngs):
        self.operation = operation
        self.taps = taps
        self.promote_dtype, self.dtype = operands, None  # as a layer of Flax's
        self.kernel = nnx.Param(variance_scaling(1.0)(rngs.params(), (3, 3, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Array) -> Array:
        """Return the image at its other resolution."""
        kernel = jnp.asarray(self.kernel[...], self.dtype or x.dtype)
        return self.operation(x, kernel, self.taps) + self.bias[...]


class Change(nnx.Module):
    """A change of resolution in the place of a residual block: it hears no noise label and drops nothing."""

    def __init__(self, layer: nnx.Module):
        self.layer = layer

    def __call__(self, x: Array, embedding: Array | None = None, *, key: Key | None = None) -> Array:
        """Return the image at its other resolution."""
        return self.layer(x)  # type: ignore[operator]


def _is_positive(tap: object) -> bool:
    return isinstance(tap, int | float) and not isinstance(tap, bool) and 0 < tap < math.inf
