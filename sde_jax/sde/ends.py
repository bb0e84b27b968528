"""How near to its ends a path can be looked at."""

import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.sde.path import GaussianPath
from sde_jax.typing import Array

Number = Float[Array, ""]


def last_time(sde: GaussianPath, margin: float) -> Number:
    """Return 1, or 1 - margin where log(alpha / sigma) is infinite at 1: the last time at which it is a number.

    A margin below the last digit of 1 is taken for that digit. Of a diagonal schedule every number counts.
    """
    one = jnp.ones(())
    inside = jnp.minimum(one - margin, one - jnp.finfo(one.dtype).eps)
    return jnp.where(jnp.all(jnp.isfinite(sde.log_snr(one))), one, inside)


def log_snr_range(sde: GaussianPath, start: float) -> tuple[Number, Number]:
    """Return log(alpha / sigma) at t = 1, or as near as `start` is to 0 where it is infinite there, and at `start`.

    Of a diagonal schedule the mean is meant.
    """
    low, high = (jnp.mean(sde.log_snr(t)) for t in (last_time(sde, start), jnp.asarray(start, float)))
    return low, high
