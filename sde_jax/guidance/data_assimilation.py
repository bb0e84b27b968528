"""Score-based data assimilation."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.guidance.posterior import Corrected, Linearised
from sde_jax.pytree import holds


@dataclass(frozen=True)
class DataAssimilation:
    """V_t = R + (sigma / alpha)^2 gamma I (Rozet & Louppe 2023, eq. 14): no linear system to solve.

    gamma: the variance of A x0 given x_t over that of x_t / alpha given x0, for data narrower than the noise less
    than 1; 0 leaves V_t = R, which trusts the clean estimate as if it were exact. Of a diagonal schedule the mean
    variance is meant. Raises `InputError` unless gamma >= 0.

    The law of samples depends on their churn c. With s = (sigma / alpha)^2, x_t / alpha of data much wider than the
    noise of y has the variance P with dP / ds = (1 + c^2) P / (R + gamma s) - c^2, and samples end at
    P = c^2 / (1 + c^2 - gamma) R, where R is right: at 0 for the flow, at 0.53 R for churn 1.
    """

    gamma: float = 0.1
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self):
        if not holds(lambda gamma: 0 <= gamma < float("inf"), self.gamma):
            raise InputError(f"{self}: expected gamma >= 0")

    @property
    def least_churn(self) -> float:
        """The churn from which on that variance is right within a fifth, deviations within a tenth; 1 at least."""
        narrow, wide = 0.81 * (1 - self.gamma) / (1 - 0.81), 1.21 * (self.gamma - 1) / (1.21 - 1)
        return math.sqrt(max(1.0, narrow, wide))

    def correct(self, at: Linearised) -> Corrected:
        """Return D + (sigma^2 / alpha) J^T A^T V^-1 (y - A D)."""
        plus = self.gamma * jnp.mean(jnp.square(at.deviation))
        parts = zip(at.problem.measurements, at.residuals, strict=True)
        weighted = tuple(part.noise.solve(r, part.observed, plus) for part, r in parts)
        return Corrected(at.x0 + at.shift * at.pull(at.backproject(weighted)), jnp.zeros(()))
