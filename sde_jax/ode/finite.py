"""Numbers that are finite, or an error."""

import equinox as eqx
import jax.numpy as jnp

from sde_jax.typing import Array


def finite(x: Array, otherwise: str) -> Array:
    """Return x; raise `otherwise`, when x is computed, unless all its numbers are finite."""
    return eqx.error_if(x, ~jnp.all(jnp.isfinite(x)), otherwise)
