"""Score-based data assimilation."""

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
    """

    gamma: float = 0.1
    calibrated: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self):
        if not holds(lambda gamma: 0 <= gamma < float("inf"), self.gamma):
            raise InputError(f"{self}: expected gamma >= 0")

    def correct(self, at: Linearised) -> Corrected:
        """Return D + (sigma^2 / alpha) J^T A^T V^-1 (y - A D)."""
        plus = self.gamma * jnp.mean(jnp.square(at.deviation))
        parts = zip(at.problem.measurements, at.residuals, strict=True)
        weighted = tuple(part.noise.solve(r, part.observed, plus) for part, r in parts)
        return Corrected(at.x0 + at.shift * at.pull(at.backproject(weighted)), jnp.zeros(()))
