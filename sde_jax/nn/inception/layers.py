"""What the layers of Inception-v3 are: convolutions, branches and three ways to pool."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.typing import Array


@dataclass(frozen=True)
class Conv:
    """relu(conv(x) + bias) with a window [height, width]; it stays `inside` the image, or continues it by zeros."""

    name: str
    channels: int
    height: int = 1
    width: int = 1
    stride: int = 1
    inside: bool = False


@dataclass(frozen=True)
class Fork:
    """Branches that read the same x; their outputs are joined, in this order, along the channels."""

    name: str
    branches: tuple["Chain", ...]


Pool: TypeAlias = Callable[[Array], Array]
Chain: TypeAlias = tuple[Conv | Fork | Pool, ...]
"""Layers, one after the other."""


def means(x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Return the mean over the pixels of the image within 3 x 3 around each: outside it there are none, not zeros."""
    rows, columns = (3 - np.eye(n)[0] - np.eye(n)[-1] for n in x.shape[:2])
    sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, (3, 3, 1), (1, 1, 1), "SAME")
    return sums / jnp.asarray(np.outer(rows, columns)[..., np.newaxis], x.dtype)


def maxima(x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Return the maximum over 3 x 3 pixels around each."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (3, 3, 1), (1, 1, 1), "SAME")


def every_second(x: Float[Array, "h w c"]) -> Float[Array, "h2 w2 c"]:
    """Return the maximum over 3 x 3 pixels inside the image, at every second of them."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (3, 3, 1), (2, 2, 1), "VALID")
