"""A path with an offset."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError
from sde_jax.pytree import concrete, function
from sde_jax.sde.path import path
from sde_jax.sde.wrapped import Wrapped
from sde_jax.typing import Array, Time


@path
class Shifted(Wrapped):
    """The process x_t + shift(t) of a path x_t: alpha and sigma are the path's, b is its own and shift.

    `shift` maps a scalar t to a scalar or to an array that broadcasts against x; what `Schedule` says of functions
    holds. The drift gains shift' - f shift. Raises `InputError` unless shift(0) = 0.
    """

    shift: Callable[[Any], Array]

    def __post_init__(self):
        object.__setattr__(self, "shift", function(self.shift))
        if not concrete(self):
            return
        with jax.ensure_compile_time_eval():
            start = np.asarray(self.shift(jnp.zeros(())))
        if np.any(start != 0):
            raise InputError(f"Shifted: shift(0) = {start}: expected 0, for at t = 0 the process is data")

    def offset(self, t: Time) -> Array:
        """Return the path's b(t) and shift(t)."""
        return self.path.offset(t) + self.shift(t)

    def prior_mean(self) -> Array:
        """Return the path's prior mean and shift(1)."""
        return self.path.prior_mean() + self.shift(jnp.ones(()))

    def prior_log_prob(self, x: Array) -> Array:
        """Return the path's at x - shift(1)."""
        return self.path.prior_log_prob(x - self.shift(jnp.ones(())))
