"""The variance-exploding SDE."""

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Time


@path
class VE(GaussianPath):
    """dx = sigma(t) sqrt(2 log(sigma_max / sigma_min)) dw, sigma(t) geometric from sigma_min to sigma_max.

    x_t | x_0 ~ N(x_0, sigma(t)^2 I) (Song et al. 2021, eq. 9 and 31, which leave out -sigma(0)^2): the limit of
    SMLD. Raises `InputError` unless 0 < sigma_min < sigma_max.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self):
        if known(self.sigma_min, self.sigma_max) and not 0 < self.sigma_min < self.sigma_max < float("inf"):
            raise InputError(f"{self}: expected 0 < sigma_min < sigma_max, finite")

    def log_alpha(self, t: Time) -> Array:
        """Return 0."""
        return jnp.zeros_like(jnp.asarray(t, float))

    def variance(self, t: Time) -> Array:
        """Return (sigma_min (sigma_max / sigma_min)^t)^2."""
        return jnp.exp(2 * (jnp.log(self.sigma_min) + t * jnp.log(self.sigma_max / self.sigma_min)))
