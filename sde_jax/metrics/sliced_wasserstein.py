"""The sliced Wasserstein distance, for low dimensions."""

from dataclasses import dataclass

import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.metrics.metric import Result
from sde_jax.metrics.parts import jackknife_error
from sde_jax.metrics.samples import KeptSamples, Samples, check_sets, compared, left_out

GROUPS = 10
"""Groups of examples that the standard error leaves out in turn."""


def wasserstein(x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Return W_p^p = int_0^1 |F^-1(q) - G^-1(q)|^p dq of the numbers x [n] and y [m], each of equal weight.

    Of x [n, l] and y [m, l] it is that of every column, [l]. Raises `InputError` as `check_sets` does.
    """
    check_sets(x, y, 1)
    return _between(np.sort(x, 0), np.sort(y, 0), order)


def _between(x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Return W_p^p of rising numbers."""
    n, m = len(x), len(y)
    # Quantiles are constant between multiples of 1/n and 1/m: between whole multiples of 1/(n m).
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    gaps = np.abs(x[(ends - 1) // m] - y[(ends - 1) // n])
    return np.diff(ends, prepend=0) @ gaps**order / (n * m)


@dataclass(frozen=True)
class SlicedWasserstein(KeptSamples):
    """(mean over directions u of W_p^p(u.x, u.y))^(1/p), u uniform on the sphere (Bonneel et al. 2015).

    directions: how many, drawn with `seed`; order: p, 1 or 2. Finite samples of one distribution are some distance
    apart: `reference_halves` among the details is that between two halves of the reference. The standard error is the
    jackknife's, which leaves out a tenth of both sets in turn; its mean square is at least the variance of the distance
    of so much smaller sets (Efron & Stein 1981). Raises `InputError` unless directions >= 1, order is 1 or 2, and
    seed >= 0.
    """

    directions: int = 256
    order: int = 2
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if not (whole(self.directions, 1) and whole(self.order, 1, 2) and whole(self.seed, 0, 2**32 - 1)):
            raise InputError(f"{self}: expected directions >= 1, order 1 or 2, and 0 <= seed < 2^32")

    def result(self, generated: Samples, reference: Samples | None) -> Result:
        """Return the distance of all examples."""
        x, y = compared(generated, reference)
        drawn = np.random.RandomState(self.seed).standard_normal((self.directions, x.shape[1]))
        directions = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        x, y = _Projected(x @ directions.T), _Projected(y @ directions.T)
        groups = min(GROUPS, x.examples // 2, y.examples // 2)
        parts = [self._distance(x.but(i, groups), y.but(i, groups)) for i in range(groups)]
        details = {"reference_halves": self._distance(y.but(1, 2), y.but(0, 2))}
        warnings = left_out(generated=generated, reference=reference)
        error = jackknife_error(np.array(parts))
        return Result(self._distance(x.rising, y.rising), error, None, x.examples, y.examples, details, warnings)

    def _distance(self, x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean(_between(x, y, self.order)) ** (1 / self.order))


class _Projected:
    """Examples' projections [n, l], of which every column is sorted once, whichever examples are left out of it."""

    def __init__(self, projections: np.ndarray):
        self.examples = len(projections)
        self._order = np.argsort(projections, 0)
        self.rising = np.take_along_axis(projections, self._order, 0)

    def but(self, group: int, groups: int) -> np.ndarray:
        """Return the rising projections of all examples but those whose row is `group` mod `groups`."""
        kept = self._order.T % groups != group
        return self.rising.T[kept].reshape(len(kept), -1).T
