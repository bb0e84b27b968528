"""Normalisation of one example."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.typing import Array


class GroupNorm(nnx.Module):
    """y = scale (x - mean) / sqrt(variance + 1e-6) + bias, with the moments of a group of channels.

    The moments are over all pixels and the channels of one of `groups` groups of neighbours, in float32 whatever
    the dtype of x [height, width, channels]; y has that dtype. scale [channels] starts at 1, bias [channels] at 0.
    Without `groups` there are min(channels / 4, 32), as in NCSN++ (Song et al. 2021).
    Raises `InputError` where the groups do not divide the channels. Wu and He 2018.
    """

    epsilon = 1e-6

    def __init__(self, channels: int, groups: int | None = None):
        self.groups = min(channels // 4, 32) if groups is None else groups
        if self.groups < 1 or channels % self.groups:
            expected = "4 (of 32 beyond 128)" if groups is None else str(groups)
            raise InputError(
                f"GroupNorm: {channels} channels do not split into equal groups, expected a multiple of {expected}: "
                "choose features and channel_multipliers that give one"
            )
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return `x` normalised, of the same shape and dtype."""
        grouped = x.astype(jnp.float32).reshape(-1, self.groups, x.shape[-1] // self.groups)
        centred = grouped - jnp.mean(grouped, axis=(0, 2), keepdims=True)
        variance = jnp.mean(centred**2, axis=(0, 2), keepdims=True)
        normalised = (centred * jax.lax.rsqrt(variance + self.epsilon)).reshape(x.shape)
        return (normalised * self.scale[...] + self.bias[...]).astype(x.dtype)
