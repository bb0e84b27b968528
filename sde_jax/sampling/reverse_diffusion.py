"""The reverse diffusion sampler."""

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction import score_of
from sde_jax.pytree import concrete, known
from sde_jax.reverse import check_churn
from sde_jax.sampling.discretization import Discretization, EulerSteps, ExactTransition, Tables
from sde_jax.sampling.ends import check_first_step, check_lengths, check_table
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
@dataclass(frozen=True)
class ReverseDiffusion(FixedGridSolver):
    """x_s = (2 - a) x + (1 + churn^2)/2 q^2 score(x, t) + churn q z, where x_t | x_s ~ N(a x_s, q^2 I).

    A step of the forward chain, reversed with the coefficients that it has forwards (Song et al. 2021, eq. 46): by
    default the exact transition from s to t. Weak order 1 with that one. 2 - a stands for 1 / a, which is far from it
    where alpha falls to 0 in a step; noise makes up for that later, and without noise nothing does: `EulerMaruyama`
    then. Raises `InputError` unless churn >= 0.
    """

    churn: float = 1.0
    discretization: Discretization = field(default_factory=ExactTransition)

    def __post_init__(self):
        check_churn(self, self.churn)

    @property
    def draws_noise(self) -> bool:
        """Where churn is not 0."""
        return self.churn != 0

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse the table of another path, and a start where f and g^2 are infinite or nearly so without noise."""
        if concrete(grid) and grid[-1] > grid[0]:
            raise InputError(f"{self} up a grid: it undoes steps of the forward process: expected DDIM(), say")
        chain = self.discretization
        if isinstance(chain, Tables):
            check_table(self, sde, chain.chain)
            check_lengths(self, grid, chain.chain.steps)
            return
        if isinstance(chain, EulerSteps):
            check_lengths(self, grid, chain.steps)
        if isinstance(chain, EulerSteps) or (known(self.churn) and self.churn < 1):
            check_first_step(self, sde, grid[0], grid[1])

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        a, q = self.discretization.link(sde, t, s)
        if known(self.churn) and self.churn == 0:
            q = jnp.where(a > 0, q, jnp.nan)  # where nobody could check before: not silently wrong
        mean = (2 - a) * x + 0.5 * (1 + self.churn**2) * q**2 * score_of(denoise, sde)(x, t)
        z = sde.noise(key, x.shape, x.dtype)
        return Step(mean + self.churn * q * z, mean), state
