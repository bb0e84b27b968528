"""The blocks of a RefineNet, all made of stages conv(f(norm(x))). Lin et al. 2017, as in Song & Ermon 2019 and 2020."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sde_jax.nn.activation import Activation
from sde_jax.nn.interpolation import Interpolation
from sde_jax.nn.layers import operands
from sde_jax.nn.resample import downsample_mean
from sde_jax.typing import Array, Key

Norm = Callable[[int], nnx.Module | None]
"""From a number of channels to a normalisation, called as `norm(x, *label)`; None for no normalisation."""


@dataclass(frozen=True)
class Kit:
    """What the blocks of one network have in common.

    norm: of the residual blocks and of the output; refine_norm: of the refining blocks; pool: [h, w, c] -> [h, w, c].
    """

    activation: Activation
    interpolation: Interpolation
    norm: Norm
    refine_norm: Norm
    pool: Callable[[Array], Array]
    rngs: nnx.Rngs


def _uniform(fan_in: int) -> Callable[..., Array]:
    bound = 1 / math.sqrt(fan_in)

    def initialize(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound).reshape(shape)

    return initialize


def refine_conv(inputs: int, outputs: int, *, dilation: int = 1, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Conv:
    """Return a 3 x 3 convolution [h, w, inputs] -> [h, w, outputs], the image continued by zeros.

    Weights and biases start uniform with variance 1 / (3 fan in), as in Song & Ermon 2019.
    """
    return nnx.Conv(
        inputs,
        outputs,
        (3, 3),
        kernel_dilation=dilation,
        use_bias=use_bias,
        kernel_init=_uniform(9 * inputs),
        bias_init=_uniform(9 * inputs),
        promote_dtype=operands,
        rngs=rngs,
    )


def pooled_max(x: Array) -> Array:
    """Return, for every pixel, the maximum of the 5 x 5 pixels around it that exist."""
    return nnx.max_pool(x, (5, 5), padding="SAME")


def pooled_mean(x: Array) -> Array:
    """Return, for every pixel, the sum of the pixels that exist among the 5 x 5 around it, over 25."""
    return nnx.avg_pool(x, (5, 5), padding="SAME")


def _unchanged(x: Array) -> Array:
    return x


class Stage(nnx.Module):
    """conv(f(norm(x)))."""

    def __init__(self, norm: nnx.Module | None, f: Callable[[Array], Array], conv: nnx.Conv):
        self.norm = norm
        self.f = f
        self.conv = conv

    def __call__(self, x: Array, *label: Array) -> Array:
        """Return the stage's output; `label` is heard by the norm alone."""
        return self.conv(self.f(x if self.norm is None else self.norm(x, *label)))  # type: ignore[operator]


class ResidualBlock(nnx.Module):
    """skip(x) + stage(stage(x)), both stages with the activation: the block of the encoder.

    Without `down` outputs = inputs and skip is the identity. With `down` the second stage changes the number of
    channels and skip is a convolution. At dilation 1 it is of single pixels and the sum is halved in resolution, by the
    mean of 2 x 2 pixels; at a greater dilation the resolution stays (Yu & Koltun 2016).
    """

    def __init__(self, inputs: int, outputs: int, *, down: bool, dilation: int, kit: Kit):
        f, conv = kit.activation.activate, partial(refine_conv, dilation=dilation, rngs=kit.rngs)
        self.halves = down and dilation == 1
        last = [_pooled(inputs, outputs, size, kit) if self.halves else conv(inputs, outputs) for size in (3, 1)]
        self.inner = Stage(kit.norm(inputs), f, conv(inputs, inputs))
        self.outer = Stage(kit.norm(inputs), f, last[0])
        self.skip = last[1] if down else None

    def __call__(self, x: Array, *label: Array, key: Key | None = None) -> Array:
        """Return the block's output for x [height, width, inputs]."""
        h = self.outer(self.inner(x, *label), *label)
        h = h + (x if self.skip is None else self.skip(x))
        return downsample_mean(h) if self.halves else h


def _pooled(inputs: int, outputs: int, size: int, kit: Kit) -> nnx.Conv:
    """Return the convolution before a mean, which starts with variance 1 / fan in and without bias."""
    return nnx.Conv(inputs, outputs, (size, size), promote_dtype=operands, rngs=kit.rngs)


class ResidualConvs(nnx.Module):
    """`blocks` times x <- x + stage(stage(x)), without biases: a residual convolution unit."""

    def __init__(self, features: int, blocks: int, kit: Kit):
        self.blocks = nnx.List([nnx.List([_refining(features, kit) for _ in range(2)]) for _ in range(blocks)])

    def __call__(self, x: Array, *label: Array) -> Array:
        """Return x [height, width, features], refined."""
        for first, second in self.blocks:
            x = x + second(first(x, *label), *label)
        return x


def _refining(features: int, kit: Kit) -> Stage:
    conv = refine_conv(features, features, use_bias=False, rngs=kit.rngs)
    return Stage(kit.refine_norm(features), kit.activation.activate, conv)


class Fusion(nnx.Module):
    """The sum of images of several sizes and widths, each through a stage and resized to the size of the first."""

    def __init__(self, inputs: Sequence[int], features: int, kit: Kit):
        self.interpolation = kit.interpolation
        self.stages = nnx.List(
            [Stage(kit.refine_norm(width), _unchanged, refine_conv(width, features, rngs=kit.rngs)) for width in inputs]
        )

    def __call__(self, images: Sequence[Array], *label: Array) -> Array:
        """Return the sum [height, width, features]."""
        size = images[0].shape[:2]
        pairs = zip(self.stages, images, strict=True)
        return sum(self.interpolation.resize(stage(x, *label), size) for stage, x in pairs)  # type: ignore[return-value]


class ChainedPooling(nnx.Module):
    """h + p_1 + p_2 with h = f(x), p_i = conv(pool(norm(p_(i-1)))), p_0 = h: the surroundings at two ranges."""

    def __init__(self, features: int, kit: Kit):
        self.activation = kit.activation
        conv = partial(refine_conv, features, features, use_bias=False, rngs=kit.rngs)
        self.stages = nnx.List([Stage(kit.refine_norm(features), kit.pool, conv()) for _ in range(2)])

    def __call__(self, x: Array, *label: Array) -> Array:
        """Return the sum for x [height, width, features]."""
        total = pooled = self.activation.activate(x)
        for stage in self.stages:
            pooled = stage(pooled, *label)
            total = total + pooled
        return total


class RefineBlock(nnx.Module):
    """out(pool(fuse(adapt_0(x_0), adapt_1(x_1)))): one level of the decoder.

    x_0 is what the encoder made of the level, x_1 what the decoder made of the coarser one; the coarsest level has x_0
    alone, `features` channels of it, and no fusion. adapt are residual convolution units of two blocks, out is one of
    `blocks`, pool is `ChainedPooling`.
    """

    def __init__(self, inputs: Sequence[int], features: int, *, blocks: int, kit: Kit):
        self.adapt = nnx.List([ResidualConvs(width, 2, kit) for width in inputs])
        self.fuse = Fusion(inputs, features, kit) if len(inputs) > 1 else None
        self.pool = ChainedPooling(features, kit)
        self.out = ResidualConvs(features, blocks, kit)

    def __call__(self, *arrays: Array, key: Key | None = None) -> Array:
        """Return the level's image [height, width, features], given x_0, x_1 where there is one, and the label."""
        count = len(self.adapt)
        images, label = arrays[:count], arrays[count:]
        adapted = [adapt(x, *label) for adapt, x in zip(self.adapt, images, strict=True)]
        h = adapted[0] if self.fuse is None else self.fuse(adapted, *label)
        return self.out(self.pool(h, *label), *label)
