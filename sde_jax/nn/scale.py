"""What a network divides its output by: a score at noise level sigma is of size 1 / sigma."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.typing import Array, Time


class OutputScale(Protocol):
    """A function sigma of the noise label, as a run's configuration names it (Song & Ermon 2020, technique 3)."""

    def divide(self, h: Array, noise: Time) -> Array:
        """Return h / sigma(noise), of the dtype of `h`."""
        ...


@dataclass(frozen=True)
class Unscaled:
    """sigma = 1."""

    def divide(self, h: Array, noise: Time) -> Array:
        """Return h."""
        return h


@dataclass(frozen=True)
class BySigma:
    """The label is sigma: the official VE networks with a Fourier embedding."""

    def divide(self, h: Array, noise: Time) -> Array:
        """Return h / noise."""
        return (h / noise).astype(h.dtype)


@dataclass(frozen=True)
class ByTable:
    """The label is an index into `count` geometric levels from sigma_max down to sigma_min: the official discrete nets.

    sigma_i = sigma_max (sigma_min / sigma_max)^(i / (count - 1)), rounded to float32 once; of a label between two
    whole numbers the lower counts, of one beyond the table its end.
    Raises `InputError` unless 0 < sigma_min <= sigma_max < infinity and count is a whole number of 1 or more.
    """

    sigma_min: float
    sigma_max: float
    count: int

    def __post_init__(self):
        if not 0 < self.sigma_min <= self.sigma_max < float("inf") or not whole(self.count, 1):
            raise InputError(f"{self}: expected 0 < sigma_min <= sigma_max and a whole number count of 1 or more")

    @property
    def levels(self) -> np.ndarray:
        """The levels, float32 [count], the largest first."""
        return np.geomspace(self.sigma_max, self.sigma_min, self.count).astype(np.float32)

    def divide(self, h: Array, noise: Time) -> Array:
        """Return h / sigma_i for the label i."""
        index = jnp.clip(jnp.floor(jnp.asarray(noise)), 0, self.count - 1).astype(int)
        return (h / jnp.asarray(self.levels)[index]).astype(h.dtype)
