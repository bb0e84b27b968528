"""How data lie in the continuum of a diffusion."""

from typing import Any, Protocol

import numpy as np
from jaxtyping import ArrayLike, Float, Num

from sde_jax.likelihood.dequantize import Dequantizer
from sde_jax.typing import Array, Key


class Encoding(Protocol):
    """The map between data and x_0: `Quantization` of levels, `data.Scaling` of real numbers."""

    @property
    def dtype(self) -> np.dtype:
        """The type of the data."""
        ...

    @property
    def log2_scale(self) -> float:
        """The binary logarithm of the data's units in one unit of x_0, the mean over the numbers.

        A density p of x_0 spends -log2 p / n + log2_scale bits a dimension on data of n numbers.
        """
        ...

    def draw(
        self, key: Key, data: Num[ArrayLike, "..."], dequantizer: Dequantizer | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """Draw an x_0 that the data stand for; return (x_0, log q of the draw in the data's own cells, in nats)."""
        ...

    def values(self, x0: Float[Array, "..."]) -> Any:
        """Return the data that x_0 stand for."""
        ...

    def guarded(self, x0: Float[Array, "..."], data: Num[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Return an x_0 of the data; raises, when the result is computed, where they are none that can be encoded."""
        ...
