"""A path of the user's own two functions."""

from collections.abc import Callable
from typing import Any

import jax

from sde_jax.errors import InputError
from sde_jax.pytree import function
from sde_jax.sde.path import GaussianPath, path, require_falling
from sde_jax.typing import Array, Time


@path
class Schedule(GaussianPath):
    """The path of two functions of t: `Schedule(lambda t: jnp.log1p(-t), jnp.square)`.

    `log_alpha_of` and `variance_of` map a scalar t to a scalar or to an array that broadcasts against x. Programs are
    compiled for each function anew, as for a static argument, unless it is a pytree, such as
    `jax.tree_util.Partial(f, parameters)`. Raises `InputError`, naming the time, unless log(alpha / sigma) falls.
    """

    log_alpha_of: Callable[[Any], Array]
    variance_of: Callable[[Any], Array]

    def __post_init__(self):
        object.__setattr__(self, "log_alpha_of", function(self.log_alpha_of))
        object.__setattr__(self, "variance_of", function(self.variance_of))
        try:
            require_falling(self)
        except jax.errors.TracerArrayConversionError:
            raise InputError("Schedule: a function by NumPy: expected functions by jax.numpy") from None

    def log_alpha(self, t: Time) -> Array:
        """Return `log_alpha_of(t)`."""
        return self.log_alpha_of(t)

    def variance(self, t: Time) -> Array:
        """Return `variance_of(t)`."""
        return self.variance_of(t)
