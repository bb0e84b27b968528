"""The nonlinear functions of one number that a network is built with."""

from dataclasses import dataclass
from typing import Protocol

import jax

from sde_jax.errors import InputError
from sde_jax.typing import Array


class Activation(Protocol):
    """A function of every number of an array, as a run's configuration names it."""

    def activate(self, x: Array) -> Array:
        """Return the array of the function's values, of the dtype of `x`."""
        ...


@dataclass(frozen=True)
class Swish:
    """x / (1 + e^-x) (Ramachandran et al. 2018)."""

    def activate(self, x: Array) -> Array:
        """Return the values."""
        return jax.nn.swish(x)


@dataclass(frozen=True)
class ELU:
    """x above 0, e^x - 1 below (Clevert et al. 2016)."""

    def activate(self, x: Array) -> Array:
        """Return the values."""
        return jax.nn.elu(x)


@dataclass(frozen=True)
class ReLU:
    """x above 0, 0 below."""

    def activate(self, x: Array) -> Array:
        """Return the values."""
        return jax.nn.relu(x)


@dataclass(frozen=True)
class LeakyReLU:
    """x above 0, slope x below. Raises `InputError` unless 0 <= slope < 1."""

    slope: float = 0.2

    def __post_init__(self):
        if not 0 <= self.slope < 1:
            raise InputError(f"{self}: expected 0 <= slope < 1")

    def activate(self, x: Array) -> Array:
        """Return the values."""
        return jax.nn.leaky_relu(x, self.slope)
