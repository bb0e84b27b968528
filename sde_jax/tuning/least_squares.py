"""Nonlinear least squares in few unknowns and many residuals: Levenberg and Marquardt's method, in batches."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.typing import Array

COLUMNS = 8
"""Of the Jacobian computed at once."""


class Normal(NamedTuple):
    """The normal equations of residuals r with Jacobian J: J^T J, J^T r and r^T r."""

    matrix: Float[np.ndarray, "q q"]
    gradient: Float[np.ndarray, " q"]
    square: float


class Fitted(NamedTuple):
    """Where a fit ended.

    q: the point of the smallest loss on the draws that watch; watched: that loss; rounds: how many steps were made.
    """

    q: Float[np.ndarray, " q"]
    watched: float
    rounds: int


class Loss:
    """The mean over draws of |r(q, draw)|^2, its sum over batches made one after the other.

    residuals: (q, constants, batch) -> r, one array of any shape whose first axis is the draws; constants: a pytree
    that programs are handed rather than built around, such as a network's parameters.
    """

    def __init__(self, residuals: Callable[[Array, Any, Any], Array], constants: Any):
        self._constants = constants

        @jax.jit
        def square(q: Array, constants: Any, batch: Any) -> Array:
            return jnp.sum(jnp.square(residuals(q, constants, batch)))

        @jax.jit
        def normal(q: Array, constants: Any, batch: Any) -> tuple[Array, Array, Array]:
            r, push = jax.linearize(lambda q: residuals(q, constants, batch).reshape(-1), q)
            columns = jax.lax.map(push, jnp.eye(len(q), dtype=q.dtype), batch_size=COLUMNS)
            return columns @ columns.T, columns @ r, r @ r

        self._square, self._normal = square, normal

    def value(self, q: np.ndarray, batches: Sequence[Any]) -> float:
        """Return the loss, of batches of equal size."""
        parts = [float(self._square(jnp.asarray(q, float), self._constants, batch)) for batch in batches]
        return sum(parts) / _count(batches)

    def normal(self, q: np.ndarray, batches: Sequence[Any]) -> Normal:
        """Return the normal equations of the loss."""
        parts = [self._normal(jnp.asarray(q, float), self._constants, batch) for batch in batches]
        matrix, gradient, square = (sum(np.asarray(a, np.float64) for a in some) for some in zip(*parts, strict=True))
        count = _count(batches)
        return Normal(np.asarray(matrix) / count, np.asarray(gradient) / count, float(square) / count)

    def minimised(self, start: np.ndarray, batches: Sequence[Any], watching: Sequence[Any], rounds: int) -> Fitted:
        """Return the best point of Levenberg-Marquardt's way down from `start`, by the loss of draws it does not see.

        (J^T J + mu diag(J^T J)) step = -J^T r, mu five times smaller after a step that lowers the loss, five times
        larger until one does (Marquardt 1963). It ends after `rounds` steps, where no step lowers the loss, and where
        one lowers it by less than `STALLED`.
        """
        q, mu = np.asarray(start, np.float64), FIRST
        here = self.normal(q, batches)
        best = Fitted(q, self.value(q, watching), 0)
        for made in range(1, rounds + 1):
            found = self._step(q, here, mu, batches)
            if found is None:
                break
            before, (q, mu, value) = here.square, found
            watched = self.value(q, watching)
            best = Fitted(q, watched, made) if watched < best.watched else best
            if value > (1 - STALLED) * before:
                break
            here = self.normal(q, batches)
        return best

    def _step(
        self, q: np.ndarray, here: Normal, mu: float, batches: Sequence[Any]
    ) -> tuple[np.ndarray, float, float] | None:
        """Return the point of a smaller loss, the mu to go on with and the loss; None where there is none."""
        scale = np.diag(here.matrix) + 1e-9 * np.trace(here.matrix) / len(q)
        for _ in range(TRIES):
            moved = q + np.linalg.lstsq(here.matrix + mu * np.diag(scale), -here.gradient)[0]
            value = self.value(moved, batches)
            if np.isfinite(value) and value < here.square:
                return moved, max(mu / 5, SMALLEST), value
            mu *= 5
        return None


FIRST, SMALLEST, TRIES, STALLED = 1e-2, 1e-7, 7, 1e-2


def _count(batches: Sequence[Any]) -> int:
    return sum(len(jax.tree.leaves(batch)[0]) for batch in batches)
