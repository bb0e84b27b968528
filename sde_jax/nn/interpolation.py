"""Changes of resolution to any size."""

from dataclasses import dataclass
from typing import Protocol

import jax
from jaxtyping import Float

from sde_jax.typing import Array


class Interpolation(Protocol):
    """How pixels between pixels are found, as a run's configuration names it."""

    def resize(self, x: Float[Array, "h w c"], size: tuple[int, int]) -> Float[Array, "h2 w2 c"]:
        """Return `x` with `size` = (height, width) pixels, of the same dtype."""
        ...


@dataclass(frozen=True)
class Bilinear:
    """The weighted mean of the four nearest pixels, of all that a pixel covers where the image shrinks."""

    def resize(self, x: Float[Array, "h w c"], size: tuple[int, int]) -> Float[Array, "h2 w2 c"]:
        """Return the image; pixels are squares, so that corners are not aligned."""
        return jax.image.resize(x, (*size, x.shape[-1]), "bilinear")


@dataclass(frozen=True)
class Nearest:
    """The nearest pixel."""

    def resize(self, x: Float[Array, "h w c"], size: tuple[int, int]) -> Float[Array, "h2 w2 c"]:
        """Return the image."""
        return jax.image.resize(x, (*size, x.shape[-1]), "nearest")
