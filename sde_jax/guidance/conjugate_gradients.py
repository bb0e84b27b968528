"""Linear systems in the space of what is measured."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.typing import Array

Values = tuple[Array, ...]
Map = Callable[[Values], Values]


class Solved(NamedTuple):
    """The approximate solution u of V u = r, and |r - V u| / |r|, 0 for r = 0."""

    value: Values
    unsolved: Float[Array, ""]


class _Iterate(NamedTuple):
    """u, r - V u, the next direction p, r^T M^-1 r, how many directions were taken, and whether p^T V p > 0 so far."""

    u: Values
    r: Values
    p: Values
    size: Float[Array, ""]
    taken: Int[Array, ""]
    positive: Array


def solve(covariance: Map, residuals: Values, iterations: int, tolerance: float, precondition: Map) -> Solved:
    """Return the solution after at most so many iterations of conjugate gradients, fewer once |r - V u| is small.

    V, which `covariance` applies, is taken to be symmetric and positive definite on the entries that are observed, and
    `precondition` applies M^-1, M being close to V. A network's V is only nearly so: a direction of p^T V p <= 0 ends
    the iterations, as no later one could be trusted (lineax's go on). What is left of r is looked at anew in the end;
    where it is no less than r itself, u = 0 is returned, unsolved. Derivatives are those of the solution of V u = r.
    """

    def iterated(covariance: Map, b: Values) -> Values:
        return _iterated(covariance, b, iterations, 0.5 * tolerance * _norm(b), precondition)

    total = _norm(residuals)
    found = jax.lax.custom_linear_solve(covariance, residuals, iterated, symmetric=True)
    left = _norm(_plus(residuals, -1.0, covariance(found))) / jnp.where(total > 0, total, 1)
    better = left < 1
    return Solved(jax.tree.map(lambda u: jnp.where(better, u, 0), found), jnp.where(better, left, 1))


def _iterated(covariance: Map, b: Values, iterations: int, enough: Array, precondition: Map) -> Values:
    def going(at: _Iterate) -> Array:
        return at.positive & (at.taken < iterations) & (_norm(at.r) > enough)

    def step(at: _Iterate) -> _Iterate:
        through = covariance(at.p)
        curvature = _inner(at.p, through)
        positive = curvature > 0
        length = jnp.where(positive, at.size / jnp.where(positive, curvature, 1), 0)
        u, r = _plus(at.u, length, at.p), _plus(at.r, -length, through)
        z = precondition(r)
        size = _inner(r, z)
        return _Iterate(u, r, _plus(z, size / at.size, at.p), size, at.taken + 1, positive)

    first = precondition(b)
    nothing = jax.tree.map(jnp.zeros_like, b)
    start = _Iterate(nothing, b, first, _inner(b, first), jnp.zeros((), int), jnp.asarray(True))
    return jax.lax.while_loop(going, step, start).u


def _plus(u: Values, length: Array | float, p: Values) -> Values:
    return jax.tree.map(lambda u, p: u + length * p, u, p)


def _inner(u: Values, v: Values) -> Array:
    return sum((jnp.vdot(a, b) for a, b in zip(u, v, strict=True)), start=jnp.zeros(()))


def _norm(values: Values) -> Array:
    return jnp.sqrt(_inner(values, values))
