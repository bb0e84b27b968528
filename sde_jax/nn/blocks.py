"""The residual blocks of DDPM and of NCSN++, as in Song et al. 2021."""

import math
from dataclasses import dataclass
from typing import Protocol

from flax import nnx
from jaxtyping import Float

from sde_jax.nn.activation import Activation
from sde_jax.nn.layers import conv1x1, conv3x3, dense
from sde_jax.nn.normalization import Normalization
from sde_jax.nn.resample import Change, Resample, Resampled, Resampling
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class Style:
    """What all parts of one network have in common.

    embedding: features of the noise label's embedding, None where blocks hear of none; dropout: its probability;
    init_scale: variance scale of the last layer of each residual branch; skip_rescale: divide residual sums by sqrt 2.
    """

    embedding: int | None
    dropout: float
    init_scale: float
    skip_rescale: bool
    activation: Activation
    normalization: Normalization
    resampling: Resampling


def skip_sum(x: Array, h: Array, *, rescale: bool) -> Array:
    """Return x + h, over sqrt 2 with `rescale`, which keeps the variance of a sum of independent terms."""
    return (x + h) / math.sqrt(2) if rescale else x + h


class ResnetBlock(nnx.Module):
    """skip(r(x)) + conv(dropout(a(conv(r(a(x))) + W activation(embedding)))) with a = activation o norm.

    r is `resample`, or the identity for None: both branches change resolution, after the first activation. skip is the
    layer given, or the identity. The variance of the last convolution starts at the style's `init_scale`; with its
    `skip_rescale` the sum is divided by sqrt 2.

    x [height, width, in_channels] -> [height', width', out_channels]; embedding [features], None where the style has
    none. Dropout is active exactly when `key` is given. Raises `InputError` where the norm does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        style: Style,
        *,
        skip: nnx.Module | None = None,
        resample: Resample | None = None,
        rngs: nnx.Rngs,
    ):
        self.resample = resample
        self.skip_rescale = style.skip_rescale
        self.activate = style.activation.activate
        self.norm_in = style.normalization.norm(in_channels, rngs=rngs)
        self.conv_in = conv3x3(in_channels, out_channels, rngs=rngs)
        self.embedding = None if style.embedding is None else dense(style.embedding, out_channels, rngs=rngs)
        self.norm_out = style.normalization.norm(out_channels, rngs=rngs)
        self.dropout = nnx.Dropout(style.dropout)
        self.conv_out = conv3x3(out_channels, out_channels, init_scale=style.init_scale, rngs=rngs)
        self.skip = skip

    def __call__(self, x: Float[Array, "h w c"], embedding: Array | None, *, key: Key | None = None) -> Array:
        """Return the block's output for one image and the embedding of its noise label."""
        h = self.activate(self.norm_in(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv_in(h)
        if self.embedding is not None and embedding is not None:
            h = h + self.embedding(self.activate(embedding))
        h = self.dropout(self.activate(self.norm_out(h)), deterministic=key is None, rngs=key)
        h = self.conv_out(h)
        return skip_sum(x if self.skip is None else self.skip(x), h, rescale=self.skip_rescale)


class BlockType(Protocol):
    """A kind of residual block and the changes of resolution that go with it, as a run's configuration names it.

    All are called as `block(x, embedding, key=key)`.
    """

    def block(self, inputs: int, outputs: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a block [h, w, inputs] -> [h, w, outputs]."""
        ...

    def descent(self, channels: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return what leaves a level for the next coarser one, with the same channels."""
        ...

    def ascent(self, channels: int, style: Style, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return what leaves a level for the next finer one, with the same channels."""
        ...


@dataclass(frozen=True)
class BigGANBlock:
    """Blocks change resolution themselves; their skip is a 1 x 1 convolution wherever anything changes.

    Brock et al. 2019 (appendix B), as in Song et al. 2021 (appendix H).
    """

    def block(self, inputs: int, outputs: int, style: Style, *, rngs: nnx.Rngs) -> ResnetBlock:
        """Return a block that keeps the resolution."""
        skip = conv1x1(inputs, outputs, rngs=rngs) if inputs != outputs else None
        return ResnetBlock(inputs, outputs, style, skip=skip, rngs=rngs)

    def descent(self, channels: int, style: Style, *, rngs: nnx.Rngs) -> ResnetBlock:
        """Return a block that halves the resolution."""
        return _changing(channels, style, style.resampling.down, rngs)

    def ascent(self, channels: int, style: Style, *, rngs: nnx.Rngs) -> ResnetBlock:
        """Return a block that doubles the resolution."""
        return _changing(channels, style, style.resampling.up, rngs)


@dataclass(frozen=True)
class DDPMBlock:
    """Between blocks there are layers that change the resolution, with a convolution or without.

    A block's skip is linear in each pixel, starting at variance scale 0.1, where the channels change.
    Ho et al. 2020 (appendix B).
    """

    resample_with_conv: bool = True

    def block(self, inputs: int, outputs: int, style: Style, *, rngs: nnx.Rngs) -> ResnetBlock:
        """Return a block."""
        skip = dense(inputs, outputs, init_scale=0.1, rngs=rngs) if inputs != outputs else None
        return ResnetBlock(inputs, outputs, style, skip=skip, rngs=rngs)

    def descent(self, channels: int, style: Style, *, rngs: nnx.Rngs) -> Change:
        """Return a layer that halves the resolution."""
        how = style.resampling
        with_conv = self.resample_with_conv
        return Change(how.down_conv(channels, channels, rngs=rngs) if with_conv else Resampled(how.down))

    def ascent(self, channels: int, style: Style, *, rngs: nnx.Rngs) -> Change:
        """Return a layer that doubles the resolution."""
        how = style.resampling
        with_conv = self.resample_with_conv
        return Change(how.up_conv(channels, channels, rngs=rngs) if with_conv else Resampled(how.up))


def _changing(channels: int, style: Style, resample: Resample, rngs: nnx.Rngs) -> ResnetBlock:
    return ResnetBlock(
        channels, channels, style, skip=conv1x1(channels, channels, rngs=rngs), resample=resample, rngs=rngs
    )
