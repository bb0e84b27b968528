"""A classifier of noisy images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.nn.condition import Conditioning
from sde_jax.nn.embeddings import Fourier
from sde_jax.nn.forward import Forward, require_example
from sde_jax.nn.layers import operands
from sde_jax.nn.network import Network
from sde_jax.nn.norms import GroupNorm
from sde_jax.nn.resample import downsample_mean
from sde_jax.typing import Array, Key

EMBEDDING = 512
"""Features of the embedded noise label."""


@dataclass(frozen=True)
class ChannelMoments:
    """Images enter as (x - mean) / deviation, one number of each a channel; the defaults are CIFAR-10's in [0, 1].

    Raises `InputError` unless there are as many of each, and every deviation is positive.
    """

    mean: tuple[float, ...] = (0.49139968, 0.48215841, 0.44653091)
    deviation: tuple[float, ...] = (0.24703223, 0.24348513, 0.26158784)

    def __post_init__(self):
        if len(self.mean) != len(self.deviation) or not all(0 < d < math.inf for d in self.deviation):
            raise InputError(f"{self}: expected a mean and a positive deviation of every channel")


@dataclass(frozen=True)
class WideResNet:
    """A wide residual network that is told the noise level: (x, sigma) -> logits, float [classes].

    It is no `Architecture`, for it does not return the shape of x, but is built and made functional like one. sigma > 0
    is the deviation of the noise in x. x is normalised by `moments`, then by its own mean and deviation; three groups
    of `blocks_per_group` blocks have 16, 32 and 64 times `widening` channels, the second and the third at half the
    resolution of the one before; the logits are linear in the mean over the pixels. Each block hears log sigma through
    a Fourier embedding. The defaults are WRN-28-10 for CIFAR-10, with `GroupNorm` in the place of batch norm.

    Raises `InputError` where a field is out of range.
    Zagoruyko & Komodakis 2016, as in Song et al. 2021 (appendix I.1, their code).
    """

    classes: int = 10
    blocks_per_group: int = 4
    widening: int = 10
    moments: ChannelMoments = field(default_factory=ChannelMoments)

    def __post_init__(self):
        if not all(whole(n, 1) for n in (self.classes, self.blocks_per_group, self.widening)):
            raise InputError(f"{self}: expected classes, blocks_per_group and widening of 1 or more")

    @property
    def hears_noise(self) -> bool:
        """True."""
        return True

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape` = (height, width, channels).

        Raises `InputError` unless height and width are multiples of 4 and `moments` has as many channels.
        """
        channels = len(self.moments.mean)
        if len(shape) != 3 or not all(whole(n, 1) for n in shape) or shape[0] % 4 or shape[1] % 4:
            raise InputError(f"an example has shape {tuple(shape)}, expected an image, height and width multiples of 4")
        if shape[2] != channels:
            raise InputError(f"an example has shape {tuple(shape)}, expected the {channels} channels of {self.moments}")
        return _WideResNet(self, tuple(shape), rngs)


def _kernel(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Return normal weights with variance 2 / fan out (He et al. 2015)."""
    deviation = math.sqrt(2 / math.prod((*shape[:-2], shape[-1])))
    return deviation * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def _conv(inputs: int, outputs: int, *, stride: int = 1, rngs: nnx.Rngs) -> nnx.Conv:
    kernel = {"strides": stride, "use_bias": False, "kernel_init": _kernel, "promote_dtype": operands}
    return nnx.Conv(inputs, outputs, (3, 3), rngs=rngs, **kernel)  # type: ignore[arg-type]


def _bounded(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    return jax.random.uniform(key, shape, dtype, -1, 1) / math.sqrt(shape[-1])


def _logits(inputs: int, classes: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """Return the last layer, whose weights start uniform in +-1 / sqrt(classes)."""
    return nnx.Linear(inputs, classes, kernel_init=_bounded, promote_dtype=operands, rngs=rngs)


class _Norm(GroupNorm):
    """relu(GroupNorm(x))."""

    epsilon = 1e-5

    def __call__(self, x: Array) -> Array:
        return jax.nn.relu(super().__call__(x))


class _Block(nnx.Module):
    """skip(x) + conv(a(conv(a(x)) + W swish(embedding))) with a = relu o GroupNorm.

    skip takes the mean of 2 x 2 pixels where the resolution halves and appends channels of zeros where there are more.
    With `activated` skip too reads a(x).
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, activated: bool, rngs: nnx.Rngs):
        self.activated, self.halves, self.more = activated, stride == 2, outputs - inputs
        self.norm_in = _Norm(inputs)
        self.conv_in = _conv(inputs, outputs, stride=stride, rngs=rngs)
        self.embedding = nnx.Linear(EMBEDDING, outputs, promote_dtype=operands, rngs=rngs)
        self.norm_out = _Norm(outputs)
        self.conv_out = _conv(outputs, outputs, rngs=rngs)

    def __call__(self, x: Array, embedding: Array, *, key: Key | None = None) -> Array:
        h = self.norm_in(x)
        x = h if self.activated else x
        h = self.conv_in(h) + self.embedding(jax.nn.swish(embedding))
        h = self.conv_out(self.norm_out(h))
        x = downsample_mean(x) if self.halves else x
        return h + jnp.pad(x, ((0, 0), (0, 0), (0, self.more)))


class _WideResNet(Network):
    def __init__(self, config: WideResNet, shape: tuple[int, ...], rngs: nnx.Rngs):
        self.shape, self.moments = shape, config.moments
        self.fourier = Fourier(16.0).embedder(128, rngs=rngs)
        self.embedding_in = nnx.Linear(256, EMBEDDING, rngs=rngs)
        self.embedding_out = nnx.Linear(EMBEDDING, EMBEDDING, rngs=rngs)
        self.conv_in = _conv(shape[2], 16, rngs=rngs)
        widths = [16, *(multiple * config.widening for multiple in (16, 32, 64))]
        self.groups = nnx.List([nnx.List(_group(i, *pair, config, rngs)) for i, pair in enumerate(pairwise(widths))])
        self.norm = _Norm(widths[-1])
        self.out = _logits(widths[-1], config.classes, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "h w c"],
        noise: Float[Array, ""],
        *,
        condition: Array | None = None,
        forward: Forward | None = None,
    ) -> Float[Array, " classes"]:
        require_example(x, noise, self.shape)
        Conditioning().embed(condition)
        forward = forward or Forward()
        embedding = self.embedding_in(self.fourier(noise))  # type: ignore[operator]
        embedding = self.embedding_out(jax.nn.swish(embedding))
        h = self.conv_in(_standardized(x, self.moments))
        for i, group in enumerate(self.groups):
            for j, block in enumerate(group):
                h = forward(f"groups.{i}.{j}", block, h, embedding)
        return self.out(jnp.mean(self.norm(h), (0, 1)))


def _group(index: int, inputs: int, outputs: int, config: WideResNet, rngs: nnx.Rngs) -> list[_Block]:
    first = _Block(inputs, outputs, stride=2 if index else 1, activated=index == 0, rngs=rngs)
    others = range(config.blocks_per_group - 1)
    return [first, *(_Block(outputs, outputs, stride=1, activated=False, rngs=rngs) for _ in others)]


def _standardized(x: Array, moments: ChannelMoments) -> Array:
    """Return x by the channels' moments, then less its mean, over its deviation or, if more, 1 / sqrt(size)."""
    y = (x.astype(jnp.float32) - jnp.asarray(moments.mean)) / jnp.asarray(moments.deviation)
    deviation = jnp.sqrt(jnp.maximum(jnp.var(y), 1 / y.size))  # bounded within the root, whose slope at 0 is infinite
    return ((y - jnp.mean(y)) / deviation).astype(x.dtype)
