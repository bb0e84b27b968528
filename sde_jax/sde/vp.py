"""The variance-preserving SDE."""

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Time


@path
class VP(GaussianPath):
    """dx = -beta(t)/2 x dt + sqrt(beta(t)) dw with beta linear in t (Song et al. 2021, eq. 11).

    x_t | x_0 ~ N(exp(-B/2) x_0, (1 - exp(-B)) I) with B the integral of beta from 0 to t (eq. 33): the limit of
    DDPM (Ho et al. 2020). It keeps the variance of data of unit variance; the prior is N(0, I).
    Raises `InputError` unless 0 <= beta_min <= beta_max and beta_max > 0.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        if not known(self.beta_min, self.beta_max):
            return
        if not (0 <= self.beta_min <= self.beta_max and 0 < self.beta_max < float("inf")):
            raise InputError(f"{self}: expected 0 <= beta_min <= beta_max, beta_max > 0, finite")

    def integrated_beta(self, t: Time) -> Array:
        """Return B(t), the integral of beta from 0 to t."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * jnp.square(t)

    def log_alpha(self, t: Time) -> Array:
        """Return -B(t) / 2."""
        return -0.5 * self.integrated_beta(t)

    def variance(self, t: Time) -> Array:
        """Return 1 - exp(-B(t))."""
        return -jnp.expm1(-self.integrated_beta(t))

    def prior_variance(self) -> Array:
        """Return 1."""
        return jnp.ones(())
