"""From the squared errors of an example's numbers to one loss."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.typing import Array


class Reduction(Protocol):
    """What stands for |error|^2 in a loss."""

    def reduce(self, squares: Float[Array, "..."]) -> Float[Array, ""]:
        """Return one number for the squared errors of one example."""
        ...


@dataclass(frozen=True)
class Mean:
    """The mean over an example's numbers (`reduce_mean` of the official code)."""

    def reduce(self, squares: Float[Array, "..."]) -> Float[Array, ""]:
        """Return the mean."""
        return jnp.mean(squares)


@dataclass(frozen=True)
class HalfSum:
    """Half the sum over an example's numbers (the official code without `reduce_mean`): the bound in nats."""

    def reduce(self, squares: Float[Array, "..."]) -> Float[Array, ""]:
        """Return half the sum."""
        return 0.5 * jnp.sum(squares)
