"""The residual block of NCSN++ and the layers it is made of, initialised as in Song et al. 2021."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import swish
from jaxtyping import Float

from sde_jax.nn.norms import GroupNorm
from sde_jax.nn.resample import Resample
from sde_jax.typing import Array, Key


def variance_scaling(scale: float) -> Callable[..., Array]:
    """Return the initialiser of Song et al. 2021: uniform with variance scale / mean(fan in, fan out).

    Weights are [*window, inputs, outputs]. A `scale` of 0 stands for 1e-10: a layer that starts as (almost)
    nothing, but not exactly dead.
    """

    def initialize(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        *window, inputs, outputs = shape
        bound = math.sqrt(3 * (scale or 1e-10) / (math.prod(window) * (inputs + outputs) / 2))
        # the same numbers as a draw of `shape`, but XLA on CPU compiles a flat draw up to 20 times faster
        return jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound).reshape(shape)

    return initialize


def dense(inputs: int, outputs: int, *, init_scale: float = 1.0, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a layer [..., inputs] -> [..., outputs]."""
    return nnx.Linear(inputs, outputs, kernel_init=variance_scaling(init_scale), rngs=rngs)


def conv3x3(inputs: int, outputs: int, *, init_scale: float = 1.0, rngs: nnx.Rngs) -> nnx.Conv:
    """Return a convolution [h, w, inputs] -> [h, w, outputs], the image continued by zeros."""
    return nnx.Conv(inputs, outputs, (3, 3), kernel_init=variance_scaling(init_scale), rngs=rngs)


def conv1x1(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Conv:
    """Return a convolution [h, w, inputs] -> [h, w, outputs] of single pixels."""
    return nnx.Conv(inputs, outputs, (1, 1), kernel_init=variance_scaling(1.0), rngs=rngs)


def skip_sum(x: Array, h: Array, *, rescale: bool) -> Array:
    """Return x + h, over sqrt 2 with `rescale`, which keeps the variance of a sum of independent terms."""
    return (x + h) / math.sqrt(2) if rescale else x + h


class ResnetBlockBigGAN(nnx.Module):
    """skip(r(x)) + conv(dropout(a(conv(r(a(x))) + W swish(embedding)))) with a = swish o GroupNorm.

    r is `resample`, or the identity for None: both branches change resolution, after the first activation.
    skip is a 1 x 1 convolution where the resolution or the number of channels changes, else the identity. The
    variance of the last convolution starts at `init_scale`. With `skip_rescale` the sum is divided by sqrt 2.

    x [height, width, in_channels] -> [height', width', out_channels]; embedding [embedding_features]. Dropout
    is active exactly when `rngs` is given. Raises `InputError` where `GroupNorm` does.
    Brock et al. 2019 (appendix B), as in Song et al. 2021 (appendix H).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding_features: int,
        dropout: float,
        init_scale: float,
        skip_rescale: bool,
        resample: Resample | None = None,
        rngs: nnx.Rngs,
    ):
        self.resample = resample
        self.skip_rescale = skip_rescale
        self.norm_in = GroupNorm(in_channels)
        self.conv_in = conv3x3(in_channels, out_channels, rngs=rngs)
        self.embedding = dense(embedding_features, out_channels, rngs=rngs)
        self.norm_out = GroupNorm(out_channels)
        self.dropout = nnx.Dropout(dropout)
        self.conv_out = conv3x3(out_channels, out_channels, init_scale=init_scale, rngs=rngs)
        changes = resample is not None or in_channels != out_channels
        self.skip = conv1x1(in_channels, out_channels, rngs=rngs) if changes else None

    def __call__(
        self, x: Float[Array, "h w c"], embedding: Float[Array, " features"], *, rngs: nnx.Rngs | None = None
    ) -> Array:
        """Return the block's output for one image and the embedding of its noise label."""
        h = swish(self.norm_in(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv_in(h) + self.embedding(swish(embedding))
        h = self.dropout(swish(self.norm_out(h)), deterministic=rngs is None, rngs=rngs)
        h = self.conv_out(h)
        return skip_sum(x if self.skip is None else self.skip(x), h, rescale=self.skip_rescale)
