"""Differences of measured numbers, and their errors."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import finite_vector, same_length
from sde_jax.report.histogram import mean_error
from sde_jax.report.values import value_text


class Difference(NamedTuple):
    """`value` with its standard error, None where that is unknown; pairs: over how many examples, 0 of no pairs."""

    value: float
    standard_error: float | None
    pairs: int = 0

    def __str__(self) -> str:
        over = f", paired over {self.pairs:,} examples" if self.pairs else ""
        text = value_text(self.value, self.standard_error)
        return f"{'' if text.startswith('-') else '+'}{text}{over}".replace("-", "\N{MINUS SIGN}")


def difference(
    value: float, standard_error: float | None, other: float, other_standard_error: float | None
) -> Difference:
    """value - other of independent measurements: SE = sqrt(SE_1^2 + SE_2^2), None unless both are known."""
    if standard_error is None or other_standard_error is None:
        return Difference(value - other, None)
    return Difference(value - other, math.hypot(standard_error, other_standard_error))


def paired_difference(
    values: ArrayLike, index: ArrayLike, other: ArrayLike, other_index: ArrayLike
) -> Difference | None:
    """The mean of values - other over the examples that both have; None of fewer than two.

    values: [n], of the examples `index` [n], each once; other and other_index: [m] likewise. With d_i the difference on
    example i of k, SE = sqrt(sum (d_i - mean d)^2 / (k - 1) / k): what makes an example hard for both cancels. Raises
    InputError where a value is not finite, lengths differ or an index comes twice.
    """
    first, second = finite_vector("values", values), finite_vector("other", other)
    where, there = np.asarray(index), np.asarray(other_index)
    for name, array, indices in (("values", first, where), ("other", second, there)):
        same_length(name, array, f"index of {name}", indices)
        if len(np.unique(indices)) != len(indices):
            raise InputError(f"index of {name} names an example twice; expected each once")
    common, rows, other_rows = np.intersect1d(where, there, return_indices=True)
    if len(common) < 2:
        return None
    gaps = first[rows] - second[other_rows]
    return Difference(float(gaps.mean()), mean_error(gaps), len(common))
