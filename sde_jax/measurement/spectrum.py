"""The singular value decomposition of an operator, in closed form."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from sde_jax.pytree import in_one_line
from sde_jax.typing import Array


@in_one_line
class Spectrum(NamedTuple):
    """A = U S V^T of an operator, S a diagonal of `values` that broadcasts against coefficients V^T x0.

    to: x0 -> V^T x0; back: its inverse; of: y -> U^T y laid out as these coefficients, 0 where S is 0 for all x0;
    separate: whether U = I, so that each number of y is one coefficient, and may be missing. Coefficients may be
    complex; V is unitary.
    """

    to: Callable[[Array], Array]
    back: Callable[[Array], Array]
    of: Callable[[Array], Array]
    values: Array
    separate: bool = True


def block_basis(weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """Return an orthonormal basis, as columns, whose first vector points along `weights`: Householder's reflection."""
    unit = weights / np.linalg.norm(weights)
    v = unit - np.eye(len(unit))[0]
    square = v @ v
    return np.eye(len(unit)) - (2 * np.outer(v, v) / square if square else 0)
