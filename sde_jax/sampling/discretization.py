"""The forward process as a chain: what one step of the grid stands for."""

from dataclasses import dataclass, field
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Int

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.sde import DDPM, GaussianPath, Tabulated
from sde_jax.typing import Array, Time


class Discretization(Protocol):
    """A chain x_t | x_s ~ N(a x_s, q^2 I) in the place of the SDE."""

    def link(self, sde: GaussianPath, t: Time, s: Time) -> tuple[Array, Array]:
        """Return (a, q) of the step from s to t > s."""
        ...


@dataclass(frozen=True)
class ExactTransition:
    """The SDE's own transition from s to t: no error, whatever the grid."""

    def link(self, sde: GaussianPath, t: Time, s: Time) -> tuple[Array, Array]:
        """Return the path's transition."""
        return sde.transition(s, t)


@dataclass(frozen=True)
class EulerSteps:
    """a = 1 + f(t) / N, q = g(t) / sqrt(N): Euler-Maruyama on the forward SDE in N = `steps` steps, whatever the grid.

    The official code's chain where it has no tables, on sub-VP. Reversed by `ReverseDiffusion`, it is the official
    Euler-Maruyama predictor, x - drift(x, t) / N + g / sqrt(N) z. s is not used. Raises `InputError` unless steps >= 1.
    """

    steps: int = 1000

    def __post_init__(self):
        if not whole(self.steps, 1):
            raise InputError(f"{self}: expected steps >= 1, a whole number")

    def link(self, sde: GaussianPath, t: Time, s: Time) -> tuple[Array, Array]:
        """Return (1 + f / N, g / sqrt(N)) at t."""
        f, g2 = sde.rates(t)
        return 1 + f / self.steps, jnp.sqrt(g2 / self.steps)


@takes_components
@dataclass(frozen=True)
class Tables:
    """a and q as they stand in the tables of DDPM or SMLD, in the row i = floor(t (steps - 1)) in force at t.

    The official code's chains on VP and VE. s is not used; row 0 is the step from data. Raises `InputError` for a
    path without tables.
    """

    chain: Tabulated = field(default_factory=DDPM)

    def __post_init__(self):
        if not isinstance(self.chain, Tabulated):
            raise InputError(f"{self}: expected a path with tables, DDPM or SMLD")

    def row(self, t: Time) -> Int[Array, "..."]:
        """Return floor(t (steps - 1)) as the official code takes it: in float32, of a t that is rounded to it."""
        return (jnp.asarray(t, jnp.float32) * (self.chain.steps - 1)).astype(int)

    def link(self, sde: GaussianPath, t: Time, s: Time) -> tuple[Array, Array]:
        """Return (sqrt(1 - beta_i), sqrt(beta_i)), or (1, sqrt(sigma_i^2 - sigma_{i-1}^2))."""
        c, q = self.chain.discretization(self.chain.time(self.row(t)))
        return 1 + c, q
