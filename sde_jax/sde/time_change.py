"""A path with a clock of its own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.pytree import concrete, function
from sde_jax.sde.path import path
from sde_jax.sde.wrapped import Wrapped
from sde_jax.typing import Array, Time


@path
class TimeChange(Wrapped):
    """The process x_clock(t) of a path x_t: f(t) = clock' f(clock), g^2(t) = clock' g^2(clock).

    The clock rises from clock(0) = 0 to clock(1) = 1; what `Schedule` says of functions holds. It changes neither the
    marginals that are passed nor the prior, only when. Raises `InputError`, naming the time, unless it does.
    """

    clock: Callable[[Any], Array]

    def __post_init__(self):
        object.__setattr__(self, "clock", function(self.clock))
        if not concrete(self.clock):
            return
        times = np.linspace(0.0, 1.0, 257)
        with jax.ensure_compile_time_eval():
            read = np.asarray(jax.vmap(self.clock)(jnp.asarray(times)))
        for t, value in ((0.0, read[0]), (1.0, read[-1])):
            if not abs(value - t) <= 1e-6:
                raise InputError(f"TimeChange: clock({t:g}) = {value:g}: expected {t:g}")
        falls = np.flatnonzero(~(read[1:] > read[:-1]))
        if falls.size:
            s, t = times[falls[0]], times[falls[0] + 1]
            raise InputError(f"TimeChange: the clock does not rise between t = {s:g} and t = {t:g}: expected it to")

    def log_alpha(self, t: Time) -> Array:
        """Return the path's log alpha at clock(t)."""
        return self.path.log_alpha(self.clock(t))

    def variance(self, t: Time) -> Array:
        """Return the path's variance at clock(t)."""
        return self.path.variance(self.clock(t))

    def offset(self, t: Time) -> Array:
        """Return the path's b at clock(t)."""
        return self.path.offset(self.clock(t))

    def alpha(self, t: Time) -> Array:
        """Return the path's alpha at clock(t)."""
        return self.path.alpha(self.clock(t))

    def sigma(self, t: Time) -> Array:
        """Return the path's sigma at clock(t)."""
        return self.path.sigma(self.clock(t))

    def log_snr(self, t: Time) -> Float[Array, "..."]:
        """Return the path's log_snr at clock(t)."""
        return self.path.log_snr(self.clock(t))
