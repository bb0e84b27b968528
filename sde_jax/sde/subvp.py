"""The sub-VP SDE."""

import jax.numpy as jnp

from sde_jax.sde.path import path
from sde_jax.sde.vp import VP
from sde_jax.typing import Array, Time


@path
class SubVP(VP):
    """dx = -beta(t)/2 x dt + sqrt(beta(t) (1 - exp(-2 B(t)))) dw (Song et al. 2021, eq. 13).

    The alpha of VP with the square of its variance, so that it is bounded by VP's at every t (eq. 14).
    """

    def variance(self, t: Time) -> Array:
        """Return (1 - exp(-B(t)))^2."""
        return jnp.square(super().variance(t))
