"""From integers to the continuum."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float, Int

from sde_jax.errors import InputError
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class Quantization:
    """Integers 0 ... levels - 1 as equal cells of the interval [low, high].

    Level k owns the cell low + [k, k + 1) (high - low) / levels. Raises `InputError` unless levels >= 2, low < high.
    """

    levels: int
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self):
        if self.levels < 2 or not self.low < self.high:
            raise InputError(f"{self}: expected levels >= 2 and low < high")

    @property
    def cell(self) -> float:
        """The width of one level's cell."""
        return (self.high - self.low) / self.levels

    def dequantize(self, key: Key, image: Int[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Return a uniform draw from every number's cell (Theis et al. 2016; Song et al. 2021, appendix C)."""
        u = jax.random.uniform(key, jnp.shape(image), jnp.result_type(float))
        return self.low + self.cell * (jnp.asarray(image) + u)

    def quantize(self, x: Float[Array, "..."]) -> Int[Array, "..."]:
        """Return the level whose cell each number lies in; what lies outside the interval goes to its ends."""
        level = jnp.floor((x - self.low) / self.cell)
        return jnp.clip(level, 0, self.levels - 1).astype(jnp.uint8 if self.levels <= 256 else jnp.int32)
