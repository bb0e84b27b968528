"""The variance-exploding SDE of linear deviation."""

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Time


@path
class EDMPath(GaussianPath):
    """dx = sigma_max sqrt(2 t) dw: x_t | x_0 ~ N(x_0, (sigma_max t)^2 I) (Karras et al. 2022, section 3).

    Their time is sigma itself, so that the probability flow is as straight as it can be. At t = 0 there is no noise.
    Raises `InputError` unless sigma_max > 0.
    """

    sigma_max: float = 80.0

    def __post_init__(self):
        if known(self.sigma_max) and not 0 < self.sigma_max < float("inf"):
            raise InputError(f"{self}: expected sigma_max > 0")

    def log_alpha(self, t: Time) -> Array:
        """Return 0."""
        return jnp.zeros_like(jnp.asarray(t, float))

    def variance(self, t: Time) -> Array:
        """Return (sigma_max t)^2."""
        return jnp.square(self.sigma_max * t)

    def sigma(self, t: Time) -> Array:
        """Return sigma_max t."""
        return self.sigma_max * jnp.asarray(t, float)
