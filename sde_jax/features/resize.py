"""How images are brought to a network's size. The choice changes an FID by more than many differences of models do.

Parmar, Zhang & Zhu 2022 (clean-FID) measure by how much.
"""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.typing import Array


class Resize(Protocol):
    """A rule x [height, width, channels] float32 in [0, 255] -> [size, size, channels], same range."""

    @property
    def words(self) -> str:
        """What it does, in words."""
        ...

    @property
    def published(self) -> bool:
        """Whether it is the rule of published FIDs."""
        ...

    def __call__(self, x: Float[Array, "h w c"], size: int) -> Float[Array, "size size c"]:
        """Return the image resized."""
        ...


@dataclass(frozen=True)
class TF1Bilinear:
    """The rule of published FIDs: pixel i is read at i n / size of n, between its two neighbours there.

    Along columns, then along rows, y_i = x_k + (i n / size - k) (x_min(k + 1, n - 1) - x_k) with k = floor(i n / size).
    The first pixels of both images lie on each other, not their centres, and an image that shrinks is not smoothed.
    """

    words = "bilinear as in TensorFlow 1 (corners not aligned, no half pixels, not antialiased)"
    published = True

    def __call__(self, x: Float[Array, "h w c"], size: int) -> Float[Array, "size size c"]:
        """Return the image resized."""
        return _between(_between(x, size, 1), size, 0)


@dataclass(frozen=True)
class PillowBicubic:
    """The rule of clean-FID: Pillow's bicubic filter in floating point, which smooths what it shrinks; then clipped.

    Keys' kernel with a = -1/2, as wide as max(1, n / size) pixels, its weights normalised within the image.
    """

    words = "bicubic as in Pillow (antialiased, in float32, clipped to 0 ... 255): clean-FID's"
    published = False

    def __call__(self, x: Float[Array, "h w c"], size: int) -> Float[Array, "size size c"]:
        """Return the image resized."""
        y = jax.image.resize(x, (size, size, x.shape[-1]), "cubic", antialias=True)
        return jnp.clip(y, 0, 255)


def _between(x: Array, size: int, axis: int) -> Array:
    count = x.shape[axis]
    place = np.arange(size, dtype=np.float32) * np.float32(count / size)
    below = place.astype(int)
    share = np.expand_dims(place - below.astype(np.float32), tuple({0, 1, 2} - {axis}))
    low, high = (jnp.take(x, np.minimum(k, count - 1), axis) for k in (below, below + 1))
    return low + (high - low) * share
