"""The energy distance, for low dimensions."""

from dataclasses import dataclass

import numpy as np

from sde_jax.metrics.distances import squared_distances
from sde_jax.metrics.metric import Result
from sde_jax.metrics.parts import folds, mean_of
from sde_jax.metrics.samples import KeptSamples, Samples, check_sets, compared, left_out


def energy(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return two estimates of 2 E|X - Y| - E|X - X'| - E|Y - Y'| from x [n, d] and y [m, d].

    (Szekely & Rizzo 2013.) The first is unbiased: pairs of one set are of different rows. The second takes a row with
    itself for a pair as well, and is never negative. Raises `InputError` as `check_sets` does.
    """
    check_sets(x, y)
    n, m = len(x), len(y)
    between, own_x, own_y = _total(x, y, own=False), _total(x, x, own=True), _total(y, y, own=True)
    unbiased = 2 * between / (n * m) - own_x / (n * (n - 1)) - own_y / (m * (m - 1))
    return unbiased, max(2 * between / (n * m) - own_x / n**2 - own_y / m**2, 0.0)


def _total(x: np.ndarray, y: np.ndarray, own: bool) -> float:
    total = 0.0
    for rows, distances in squared_distances(x, y):
        if own:  # the root of what rounding leaves of a 0 is no rounding
            np.fill_diagonal(distances[:, rows], 0)
        total += float(np.sum(np.sqrt(distances)))
    return total


@dataclass(frozen=True)
class Energy(KeptSamples):
    """The squared energy distance, unbiased (`energy`): 0 for samples of the data's distribution, on average.

    `distance` among the details is the square root of the estimate that is never negative. The standard error is that
    of the mean over ten folds of both sets. Its mean square is at least the variance of the estimate, which is that
    mean averaged over all ways to make the folds (Rao and Blackwell).
    """

    def result(self, generated: Samples, reference: Samples | None) -> Result:
        """Return the squared distance of all examples."""
        x, y = compared(generated, reference)
        value, positive = energy(x, y)
        error = mean_of(np.array([energy(*fold)[0] for fold in folds(x, y, 10)])).standard_error
        warnings = left_out(generated=generated, reference=reference)
        return Result(value, error, None, len(x), len(y), {"distance": float(np.sqrt(positive))}, warnings)
