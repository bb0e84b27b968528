"""Linear systems in the space of what is measured."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Float

from sde_jax.typing import Array

Values = tuple[Array, ...]


class Solved(NamedTuple):
    """The approximate solution u of V u = r, and |r - V u| / |r|, 0 for r = 0."""

    value: Values
    unsolved: Float[Array, ""]


def solve(covariance: Callable[[Values], Values], residuals: Values, iterations: int, tolerance: float) -> Solved:
    """Return the solution after at most so many iterations of conjugate gradients, fewer once |r - V u| is small.

    V, which `covariance` applies, is taken to be symmetric and positive definite on the entries that are observed; a
    network's is only nearly so. Where the iterations make matters worse than u = 0, u = 0 is returned, unsolved.
    """
    size = _norm(residuals)
    scaled = jax.tree.map(lambda r: r / jnp.where(size > 0, size, 1), residuals)
    structure = jax.tree.map(lambda r: jax.ShapeDtypeStruct(r.shape, r.dtype), residuals)
    matrix = lx.FunctionLinearOperator(covariance, structure, lx.positive_semidefinite_tag)
    solver = lx.CG(0.0, 0.5 * tolerance, norm=_norm, max_steps=iterations)
    found = lx.linear_solve(matrix, scaled, solver, throw=False).value
    left = _norm(jax.tree.map(jnp.subtract, scaled, covariance(found)))
    better = left < 1
    value = jax.tree.map(lambda u: jnp.where(better, u * size, 0), found)
    return Solved(value, jnp.where(size > 0, jnp.where(better, left, 1), 0))


def _norm(values: Values) -> Array:
    squares = [jnp.sum(jnp.square(v)) for v in jax.tree.leaves(values)]
    return jnp.sqrt(sum(squares, start=jnp.zeros(())))
