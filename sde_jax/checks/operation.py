"""The check itself: an operation of JAX that is the identity, and vanishes from compiled programs.

It is no callback: those keep a program out of the compilation cache, and from being exported. JAX's own `checkify` has
such an operation too, but takes no `vmap` of a `while_loop`, which every adaptive solver of a batch is.
"""

import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import ArrayLike, Bool

from sde_jax.errors import NumericalError
from sde_jax.typing import Array

check = Primitive("check")
"""(value, holds) -> value, with the message `otherwise`; `discharge` gives its meaning in compiled programs."""


def require(value: ArrayLike, holds: Bool[ArrayLike, "..."], otherwise: str) -> Array:
    """Return `value`, all of it NaN unless every one of `holds` is true, where `NumericalError` says `otherwise`.

    The error is raised at once where the numbers are known, and within a compiled program by `checked` or `judged`.
    Under `jax.vmap` each example is NaN for itself, and one is enough for the error. Derivatives are NaN with the
    value; whole numbers, which know no NaN, stay as they are.
    """
    value, kept = jnp.asarray(value), jnp.all(jnp.asarray(holds))
    if jnp.issubdtype(value.dtype, jnp.inexact):
        value = value * jnp.where(kept, 1, jnp.nan).astype(value.dtype)  # a product, so that derivatives are NaN too
    return check.bind(value, kept, otherwise=otherwise)


def finite(x: ArrayLike, otherwise: str) -> Array:
    """Return x, which is to hold finite numbers alone: `require` says `otherwise` of anything else."""
    return require(x, jnp.isfinite(jnp.asarray(x)), otherwise)


def _checked(value: Array, holds: Array, *, otherwise: str) -> Array:
    if not holds.all():
        raise NumericalError(otherwise)
    return value


def _derivative(primals, tangents, *, otherwise: str):
    return check.bind(*primals, otherwise=otherwise), tangents[0]


def _batched(arguments, axes, *, otherwise: str):
    return check.bind(*arguments, otherwise=otherwise), axes[0]


check.def_impl(_checked)
check.def_abstract_eval(lambda value, holds, *, otherwise: value)
ad.primitive_jvps[check] = _derivative
batching.primitive_batchers[check] = _batched
mlir.register_lowering(check, lambda context, value, holds, *, otherwise: [value])
