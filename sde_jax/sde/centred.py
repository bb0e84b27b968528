"""A path without its offset."""

import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.sde.path import path
from sde_jax.sde.wrapped import Wrapped
from sde_jax.typing import Array, Time


@path
class Centred(Wrapped):
    """The process x_t - b(t) of a path: what every solver runs on, so that none of them knows of offsets.

    An offset only translates: in these coordinates alpha, sigma and x_0 are as they were, and b is 0.
    """

    def offset(self, t: Time) -> Array:
        """Return 0."""
        return jnp.zeros_like(jnp.asarray(t, float))

    def prior_mean(self) -> Array:
        """Return what the path's prior mean differs by from b(1)."""
        return self.path.prior_mean() - self.path.offset(1.0)

    def prior_log_prob(self, x: Float[Array, "..."]) -> Float[Array, ""]:
        """Return the path's at x + b(1)."""
        return self.path.prior_log_prob(x + self.path.offset(1.0))
