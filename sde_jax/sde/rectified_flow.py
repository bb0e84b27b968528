"""The straight path of flow matching."""

import jax.numpy as jnp

from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Time


@path
class RectifiedFlow(GaussianPath):
    """x_t = (1 - t) x_0 + t eps (Liu et al. 2023; the optimal-transport path of Lipman et al. 2023, noise at t = 1).

    At t = 1 nothing of x_0 is left and f and g^2 are infinite: exponential samplers may start there, and those of the
    flow, whose velocity is finite, such as Euler's method, `EulerMaruyama(churn=0.0)`; others before.
    """

    def log_alpha(self, t: Time) -> Array:
        """Return log(1 - t)."""
        return jnp.log1p(-jnp.asarray(t, float))

    def alpha(self, t: Time) -> Array:
        """Return 1 - t."""
        return 1.0 - jnp.asarray(t, float)

    def variance(self, t: Time) -> Array:
        """Return t^2."""
        return jnp.square(jnp.asarray(t, float))

    def sigma(self, t: Time) -> Array:
        """Return t."""
        return jnp.asarray(t, float)
