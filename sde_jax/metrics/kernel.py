"""The kernel distance between features: KID, where these are Inception's."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.metrics.distances import ROWS
from sde_jax.metrics.metric import Result
from sde_jax.metrics.parts import mean_of
from sde_jax.metrics.samples import KeptSamples, Samples, check_sets, compared, left_out

_CHEAP = 10**11
"""Multiplications that take seconds."""


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased estimate of MMD^2 with k(x, y) = (x.y / d + 1)^3 (Binkowski et al. 2018):

        sum_{i != j} k(x_i, x_j) / (n (n - 1)) + sum_{i != j} k(y_i, y_j) / (m (m - 1)) - 2 sum_ij k(x_i, y_j) / (n m)

    for x [n, d] and y [m, d]; 0 on average for samples of one distribution, so that it may be negative. Raises
    `InputError` as `check_sets` does.
    """
    check_sets(x, y)
    n, m = len(x), len(y)
    x, y = x.astype(np.float64), y.astype(np.float64)
    own_x, own_y = (_total(z, z) - np.sum(_kernel(np.sum(z**2, 1), z.shape[1])) for z in (x, y))
    return float(own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2 * _total(x, y) / (n * m))


def _total(x: np.ndarray, y: np.ndarray) -> float:
    return sum(float(np.sum(_kernel(x[i : i + ROWS] @ y.T, x.shape[1]))) for i in range(0, len(x), ROWS))


def _kernel(products: np.ndarray, d: int) -> np.ndarray:
    return (products / d + 1) ** 3


@dataclass(frozen=True)
class Kernel(KeptSamples):
    """KID: the mean of `kernel_distance` over random subsets of both sets (Binkowski et al. 2018).

    subsets: how many; size: examples in each, of both sets, less where there are less; seed: of the draw, which goes
    through all examples in random order, and again in another. Subsets of one round share no example; the standard
    error is that of a mean over one round, hence too large rather than too small. `all_pairs` among the details is the
    estimate from all examples, where that takes seconds. Raises `InputError` unless subsets >= 1, size >= 2, seed >= 0.
    """

    subsets: int = 100
    size: int = 1000
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if not (whole(self.subsets, 1) and whole(self.size, 2) and whole(self.seed, 0, 2**32 - 1)):
            raise InputError(f"{self}: expected subsets >= 1, size >= 2 and 0 <= seed < 2^32")

    def result(self, generated: Samples, reference: Samples | None) -> Result:
        """Return the mean over the subsets, its standard error and interval."""
        x, y = compared(generated, reference)
        size = min(self.size, len(x), len(y))
        pairs = zip(
            *(_subsets(z, size, np.random.RandomState([self.seed, i])) for i, z in enumerate((x, y))), strict=True
        )
        values = [kernel_distance(*pair) for pair in islice(pairs, self.subsets)]
        mean = mean_of(np.array(values), min(len(x), len(y)) // size)
        cheap = (len(x) + len(y)) ** 2 * x.shape[1] <= _CHEAP
        details = {"all_pairs": kernel_distance(x, y)} if cheap else {}
        few = (f"subsets have {size} examples instead of {self.size}: there are no more",) if size < self.size else ()
        warnings = few + left_out(generated=generated, reference=reference)
        return Result(*mean, len(x), len(y), details, warnings)


def _subsets(x: np.ndarray, size: int, random: np.random.RandomState) -> Iterator[np.ndarray]:
    while True:
        order = random.permutation(len(x))
        yield from (x[order[i : i + size]] for i in range(0, len(x) - size + 1, size))
