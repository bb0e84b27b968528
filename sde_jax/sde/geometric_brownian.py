"""Geometric Brownian motion."""

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.sde.bijection import Log
from sde_jax.sde.path import GaussianPath, path
from sde_jax.sde.shifted import Shifted
from sde_jax.sde.transformed import Transformed
from sde_jax.typing import Array, Time


@path
class Brownian(GaussianPath):
    """dx = volatility dw: x_t | x_0 ~ N(x_0, volatility^2 t I). Raises `InputError` unless volatility > 0."""

    volatility: Array | float = 1.0

    def __post_init__(self):
        if known(self.volatility) and not 0 < self.volatility < float("inf"):
            raise InputError(f"{self}: expected volatility > 0")

    def log_alpha(self, t: Time) -> Array:
        """Return 0."""
        return jnp.zeros_like(jnp.asarray(t, float))

    def variance(self, t: Time) -> Array:
        """Return volatility^2 t."""
        return jnp.square(self.volatility) * t


def geometric_brownian(growth: Array | float = 0.0, volatility: Array | float = 5.0) -> Transformed:
    """Return the path dX = growth X dt + volatility X dw of positive data, taken number by number.

    log X_t | X_0 ~ N(log X_0 + (growth - volatility^2 / 2) t, volatility^2 t): X_t is log-normal and never leaves
    its side of 0. The state of the path is log X. Its prior knows nothing of the data: `volatility` should be large
    against the spread of log X, and log X centred (`Affine` inside another `Transformed`, or units of choice).
    Raises `InputError` unless volatility > 0.
    """
    brownian = Brownian(volatility)
    drift = growth - 0.5 * jnp.square(jnp.asarray(volatility, float))
    return Transformed(Shifted(brownian, jax.tree_util.Partial(jnp.multiply, drift)), Log())
