"""Changes of resolution by two."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.typing import Array

Resample = Callable[[Array], Array]
"""[height, width, channels] -> the same channels at twice or half the height and width."""


def upsample_nearest(x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w c"]:
    """Return every pixel of `x` as a square of 2 x 2 equal pixels."""
    return x.repeat(2, axis=0).repeat(2, axis=1)


def downsample_mean(x: Float[Array, "2*h 2*w c"]) -> Float[Array, "h w c"]:
    """Return the mean of every square of 2 x 2 pixels of `x`, whose height and width are even."""
    height, width, channels = x.shape
    return jnp.mean(x.reshape(height // 2, 2, width // 2, 2, channels), axis=(1, 3))
