"""Normalisation of every channel of one example by itself."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.typing import Array

EPSILON = 1e-5
"""What is added to a variance, which is the mean of the squares (divided by the number of values, not one less)."""


def around_one(shape: tuple[int, ...], rngs: nnx.Rngs) -> Array:
    """Return draws of N(1, 0.02^2), from which factors start."""
    return 1 + 0.02 * jax.random.normal(rngs.params(), shape)


def _standardized(x: Array, axis: int | tuple[int, ...]) -> tuple[Array, Array]:
    """Return (x - mean) / sqrt(variance + epsilon) and the mean, both with moments along `axis` in float32."""
    x = x.astype(jnp.float32)
    mean = jnp.mean(x, axis, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, axis, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON), mean


def instance_plus(x: Array, gamma: Array, alpha: Array, beta: Array) -> Array:
    """Return gamma (z + alpha m) + beta, of the shape and dtype of x [height, width, channels].

    z is x with every channel standardised; m [channels], the channels' means standardised among themselves, brings
    back what standardising took: which channels are brighter than others. Song & Ermon 2019 (appendix A.1).
    """
    z, mean = _standardized(x, (0, 1))
    m, _ = _standardized(mean, -1)
    return (gamma * (z + alpha * m) + beta).astype(x.dtype)


class InstanceNorm(nnx.Module):
    """scale z + bias with z every channel of x [height, width, channels] standardised over its pixels.

    scale [channels] starts at 1, bias [channels] at 0; y has the dtype of x. Ulyanov et al. 2016.
    """

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return `x` normalised, of the same shape and dtype."""
        z, _ = _standardized(x, (0, 1))
        return (self.scale[...] * z + self.bias[...]).astype(x.dtype)


class InstanceNormPlus(nnx.Module):
    """`instance_plus` with gamma and alpha [channels] that start from N(1, 0.02^2), beta [channels] from 0."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.gamma = nnx.Param(around_one((channels,), rngs))
        self.alpha = nnx.Param(around_one((channels,), rngs))
        self.beta = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return `x` normalised, of the same shape and dtype."""
        return instance_plus(x, self.gamma[...], self.alpha[...], self.beta[...])


class VarianceNorm(nnx.Module):
    """scale x / sqrt(variance + epsilon) with the variance of every channel over its pixels: means are left in.

    scale [channels] starts from N(1, 0.02^2); y has the dtype of x. Song & Ermon 2020, their code.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(around_one((channels,), rngs))

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return `x` normalised, of the same shape and dtype."""
        h = x.astype(jnp.float32)
        return (self.scale[...] * h * jax.lax.rsqrt(jnp.var(h, (0, 1)) + EPSILON)).astype(x.dtype)


class ClassInstanceNormPlus(nnx.Module):
    """`instance_plus` with gamma, alpha and beta of the class: a row of a table [classes, 3 channels], in this order.

    gamma and alpha start from N(1, 0.02^2), beta from 0. The label is a whole number from 0; one beyond the table is
    taken for the nearest in it. Song & Ermon 2019 (appendix A.1).
    """

    def __init__(self, channels: int, classes: int, *, rngs: nnx.Rngs):
        around = around_one((classes, 2 * channels), rngs)
        self.table = nnx.Param(jnp.concatenate([around, jnp.zeros((classes, channels))], axis=1))

    def __call__(self, x: Float[Array, "h w c"], label: Float[Array, ""]) -> Float[Array, "h w c"]:
        """Return `x` normalised for its class, of the same shape and dtype."""
        table = self.table[...]
        row = table[jnp.clip(jnp.asarray(label), 0, len(table) - 1).astype(int)]
        return instance_plus(x, *jnp.split(row, 3))
