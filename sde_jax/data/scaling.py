"""Real numbers as data, and as the x_0 of a diffusion."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from sde_jax.checks import require
from sde_jax.errors import InputError
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class Scaling:
    """x_0 = (value - shift) / scale, one of each for all numbers, or one for each along the last axis.

    Data of mean 0 and deviation 1 suit every path. Raises `InputError` unless there are as many of each and every scale
    is positive.
    """

    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        finite = all(map(math.isfinite, (*self.shift, *self.scale)))
        if not (self.shift and len(self.shift) == len(self.scale) and finite and min(self.scale) > 0):
            raise InputError(f"{self}: expected a finite shift and a positive scale of every number")

    @classmethod
    def standard(cls, values: ArrayLike) -> "Scaling":
        """Return the shift and scale of data [n, ..., k] by the mean and the deviation along each of the k.

        Raises `InputError` where numbers are all the same, and have no deviation.
        """
        rows = np.asarray(values, np.float64).reshape(-1, np.shape(values)[-1])
        deviation = rows.std(0)
        if not (deviation > 0).all():
            column = int(np.argmin(deviation > 0))
            raise InputError(f"column {column} is {rows[0, column]:g} in every example; leave it out")
        return cls(tuple(rows.mean(0).tolist()), tuple(deviation.tolist()))

    @property
    def dtype(self) -> np.dtype:
        """The type of the data."""
        return np.dtype(np.float32)

    @property
    def log2_scale(self) -> float:
        """The binary logarithm of the data's units in one unit of x_0, the mean over the numbers."""
        return sum(map(math.log2, self.scale)) / len(self.scale)

    def guarded(self, x0: Float[Array, "..."], data: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Return an x_0 of the data; raises, when the result is computed, for data that are NaN or infinite."""
        return require(x0, jnp.isfinite(jnp.asarray(data)), "data hold NaN or infinity: expected finite numbers")

    def draw(self, key: Key, data: Float[ArrayLike, "..."], dequantizer: Any = None) -> tuple[Array, Array]:
        """Return (x_0, 0): real numbers have no cell in which to draw."""
        x0 = (jnp.asarray(data) - jnp.asarray(self.shift)) / jnp.asarray(self.scale)
        return x0.astype(jnp.result_type(float)), jnp.zeros(())

    def values(self, x0: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the data that x_0 stand for."""
        return x0 * jnp.asarray(self.scale) + jnp.asarray(self.shift)
