"""The sliced Wasserstein distance, for low dimensions."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.metrics.metric import Result
from sde_jax.metrics.parts import folds, mean_of
from sde_jax.metrics.samples import KeptSamples, Samples, compared, left_out


def wasserstein(x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Return W_p^p = int_0^1 |F^-1(q) - G^-1(q)|^p dq of the numbers x [n] and y [m], each of equal weight.

    Of x [n, l] and y [m, l] it is that of every column, [l].
    """
    n, m = len(x), len(y)
    # Quantiles are constant between multiples of 1/n and 1/m: between whole multiples of 1/(n m).
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    gaps = np.abs(np.sort(x, 0)[(ends - 1) // m] - np.sort(y, 0)[(ends - 1) // n])
    return np.diff(ends, prepend=0) @ gaps**order / (n * m)


@dataclass(frozen=True)
class SlicedWasserstein(KeptSamples):
    """(mean over directions u of W_p^p(u.x, u.y))^(1/p), u uniform on the sphere (Bonneel et al. 2015).

    directions: how many, drawn with `seed`; order: p, 1 or 2. Finite samples of one distribution are some distance
    apart: `reference_halves` among the details is that between two halves of the reference. The standard error is that
    of the mean over ten folds of both sets, too large rather than too small. Raises `InputError` unless directions >=
    1, order is 1 or 2, and seed >= 0.
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
        between = partial(self._distance, directions)
        error = mean_of(np.array([between(*fold) for fold in folds(x, y, 10)])).standard_error
        details = {"reference_halves": between(y[::2], y[1::2])}
        warnings = left_out(generated=generated, reference=reference)
        return Result(between(x, y), error, None, len(x), len(y), details, warnings)

    def _distance(self, directions: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
        powers = wasserstein(x @ directions.T, y @ directions.T, self.order)
        return float(np.mean(powers) ** (1 / self.order))
