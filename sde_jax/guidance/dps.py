"""Diffusion posterior sampling: a point estimate."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.guidance.posterior import Corrected, Linearised
from sde_jax.pytree import holds


@dataclass(frozen=True)
class DPS:
    """D + (sigma^2 / alpha) 2 scale J^T A^T r / |r| with r = y - A D over all sources (Chung et al. 2023, eq. 16).

    The score is pushed by -scale / |r| times the gradient of |r|^2, which is no likelihood: samples are estimates of
    one point, and how far they spread says nothing of uncertainty. The noise of y is not used. Raises `InputError`
    unless scale > 0.
    """

    scale: float = 1.0
    least_churn: ClassVar[float] = math.inf
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self):
        if not holds(lambda scale: 0 < scale < float("inf"), self.scale):
            raise InputError(f"{self}: expected scale > 0")

    def correct(self, at: Linearised) -> Corrected:
        """Return the pushed estimate."""
        size = jnp.sqrt(sum((jnp.sum(r**2) for r in at.residuals), start=jnp.zeros(())))
        push = at.pull(at.backproject(at.residuals)) / jnp.where(size > 0, size, 1)
        return Corrected(at.x0 + at.shift * 2 * self.scale * push, jnp.zeros(()))
