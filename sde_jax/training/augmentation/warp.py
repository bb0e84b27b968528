"""Images read at other places: coordinates (down, right) from the middle of an image, in pixels."""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Float

from sde_jax.typing import Array

Places = tuple[Array, Array]
"""How far down and how far to the right of the middle, arrays of one shape."""


def places(height: int, width: int) -> Places:
    """Return where the pixels of an image are, each [height, width]: whole numbers, or whole numbers and a half."""
    down, right = jnp.meshgrid(
        jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing="ij"
    )
    return down, right


def moved(p: Places, down: Array, right: Array) -> Places:
    """Return p + (down, right)."""
    return p[0] + down, p[1] + right


def stretched(p: Places, down: Array, right: Array) -> Places:
    """Return p times a factor in either direction; -1 mirrors."""
    return p[0] * down, p[1] * right


def turned(p: Places, cos: Array, sin: Array) -> Places:
    """Return p turned about the middle, counterclockwise as it is seen, by the angle of this cosine and sine."""
    return cos * p[0] - sin * p[1], sin * p[0] + cos * p[1]


def read(x: Float[Array, "h w c"], p: Places) -> Float[Array, "h w c"]:
    """Return the image at p: bilinear between pixels, mirrored at the middle of those of the edge.

    Numbers of single pixels where p are their places, bit for bit.
    """
    height, width, _ = x.shape
    at = [p[0] + (height - 1) / 2, p[1] + (width - 1) / 2]
    return jax.vmap(lambda plane: map_coordinates(plane, at, order=1, mode="mirror"), in_axes=-1, out_axes=-1)(x)
