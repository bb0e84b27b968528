"""Images at all resolutions beside the U-Net: what its levels read, and what they write.

A step takes and returns (pyramid, h): the image beside a level, and the level itself. It says how many channels it
leaves them: `pyramid` and `channels`.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import jax.numpy as jnp
from flax import nnx

from sde_jax.nn.blocks import Style, skip_sum
from sde_jax.nn.layers import conv1x1, conv3x3
from sde_jax.nn.resample import Resample
from sde_jax.typing import Array

Pair = tuple[Any, Array]
"""(pyramid, h), the pyramid None where there is none."""


class InputPyramid(Protocol):
    """What the encoder's levels read of the image, as a run's configuration names it."""

    def read(self, pyramid: int, channels: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the step from a level's pyramid and the next level's h, of so many channels, to the next's both."""
        ...


class OutputPyramid(Protocol):
    """What the decoder's levels write of the image, as a run's configuration names it."""

    def write(self, pyramid: int, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a level's step from the coarser level's pyramid, of 0 channels at the first level, and its own h."""
        ...

    def finish(self, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the layer (pyramid, h) -> image."""
        ...


class Combination(Protocol):
    """How a level hears the image, as a run's configuration names it."""

    def combine(self, image: Array, h: Array) -> Array:
        """Return both in one, for two arrays of the same shape."""
        ...

    def channels(self, channels: int) -> int:
        """Return how many channels the combination has."""
        ...


@dataclass(frozen=True)
class Sum:
    """image + h."""

    def combine(self, image: Array, h: Array) -> Array:
        """Return the sum."""
        return image + h

    def channels(self, channels: int) -> int:
        """Return `channels`."""
        return channels


@dataclass(frozen=True)
class Concatenate:
    """[image, h]: twice the channels."""

    def combine(self, image: Array, h: Array) -> Array:
        """Return both, the image's channels first."""
        return jnp.concatenate([image, h], axis=-1)

    def channels(self, channels: int) -> int:
        """Return twice `channels`."""
        return 2 * channels


@dataclass(frozen=True)
class NoPyramid:
    """Levels read each other alone, and the finest writes the image."""

    def read(self, pyramid: int, channels: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the identity."""
        return _Pass(pyramid, channels)

    def write(self, pyramid: int, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the identity."""
        return _Pass(pyramid, channels)

    def finish(self, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return `ToImage`."""
        return ToImage(channels, image, style, init_scale=style.init_scale, rngs=rngs)


@dataclass(frozen=True)
class InputSkip:
    """Every level but the finest combines the downsampled image, through a 1 x 1 convolution, with its h.

    Karras et al. 2020 (section 4), as in Song et al. 2021 (appendix H).
    """

    combination: Combination = field(default_factory=Sum)

    def read(self, pyramid: int, channels: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the step that combines."""
        return _Combine(pyramid, channels, self.combination, style, rngs)


@dataclass(frozen=True)
class InputResidual:
    """The image goes down through convolutions of its own, to which every level adds its h and which replace it.

    Karras et al. 2020 (section 4), as in Song et al. 2021 (appendix H).
    """

    def read(self, pyramid: int, channels: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the step that adds."""
        return _Residual(style.resampling.down_conv(pyramid, channels, rngs=rngs), channels, style)


@dataclass(frozen=True)
class OutputSkip:
    """The output is a sum of images, one from every level, upsampled (Karras et al. 2020, section 4)."""

    def write(self, pyramid: int, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the step that adds the level's image."""
        layer = ToImage(channels, image, style, init_scale=style.init_scale, rngs=rngs)
        return _Accumulate(layer, style.resampling.up if pyramid else None, image, channels)

    def finish(self, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the layer whose output is the pyramid."""
        return _PyramidAlone()


@dataclass(frozen=True)
class OutputResidual:
    """An image of as many channels as the levels goes up through convolutions of its own, to which levels add their h.

    Karras et al. 2020 (section 4), as in Song et al. 2021 (appendix H).
    """

    def write(self, pyramid: int, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the step that adds, at the coarsest level the one that begins."""
        if not pyramid:
            layer = ToImage(channels, channels, style, init_scale=1.0, rngs=rngs)
            return _Accumulate(layer, None, channels, channels)
        return _Residual(style.resampling.up_conv(pyramid, channels, rngs=rngs), channels, style)

    def finish(self, channels: int, image: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return `ToImage`."""
        return ToImage(channels, image, style, init_scale=style.init_scale, rngs=rngs)


class ToImage(nnx.Module):
    """conv(activation(norm(h)))."""

    def __init__(self, channels: int, image: int, style: Style, *, init_scale: float, rngs: nnx.Rngs):
        self.activate = style.activation.activate
        self.norm = style.normalization.norm(channels, rngs=rngs)
        self.conv = conv3x3(channels, image, init_scale=init_scale, rngs=rngs)

    def __call__(self, pyramid: Array | None, h: Array) -> Array:
        """Return the image that h shows."""
        return self.conv(self.activate(self.norm(h)))


class _PyramidAlone(nnx.Module):
    def __call__(self, pyramid: Array, h: Array) -> Array:
        return pyramid


class _Pass(nnx.Module):
    def __init__(self, pyramid: int, channels: int):
        self.pyramid, self.channels = pyramid, channels

    def __call__(self, pyramid: Array | None, h: Array) -> Pair:
        return pyramid, h


class _Combine(nnx.Module):
    def __init__(self, pyramid: int, channels: int, combination: Combination, style: Style, rngs: nnx.Rngs):
        self.pyramid, self.channels = pyramid, combination.channels(channels)
        self.combine, self.down = combination.combine, style.resampling.down
        self.conv = conv1x1(pyramid, channels, rngs=rngs)

    def __call__(self, pyramid: Array, h: Array) -> Pair:
        pyramid = self.down(pyramid)
        return pyramid, self.combine(self.conv(pyramid), h)


class _Residual(nnx.Module):
    def __init__(self, layer: nnx.Module, channels: int, style: Style):
        self.pyramid = self.channels = channels
        self.rescale = style.skip_rescale
        self.layer = layer

    def __call__(self, pyramid: Array, h: Array) -> Pair:
        pyramid = skip_sum(self.layer(pyramid), h, rescale=self.rescale)  # type: ignore[operator]
        return pyramid, pyramid


class _Accumulate(nnx.Module):
    def __init__(self, layer: ToImage, up: Resample | None, pyramid: int, channels: int):
        self.pyramid, self.channels = pyramid, channels
        self.up = up
        self.layer = layer

    def __call__(self, pyramid: Array | None, h: Array) -> Pair:
        image = self.layer(pyramid, h)
        return (image if self.up is None or pyramid is None else self.up(pyramid) + image), h
