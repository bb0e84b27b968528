"""Random vectors of mean 0 and covariance I."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from sde_jax.typing import Array, Key


class Probe(Protocol):
    """A distribution of independent numbers of mean 0 and variance 1."""

    def draw(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draw an array of them."""
        ...


@dataclass(frozen=True)
class Rademacher:
    """Signs with equal odds."""

    def draw(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draw an array of signs."""
        return jax.random.rademacher(key, shape, jnp.result_type(float))


@dataclass(frozen=True)
class Gaussian:
    """Standard normals."""

    def draw(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draw an array of normals."""
        return jax.random.normal(key, shape, jnp.result_type(float))
