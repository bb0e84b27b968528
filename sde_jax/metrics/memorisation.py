"""Whether samples are copies of training examples."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sde_jax.errors import InputError
from sde_jax.metrics.distances import nearest
from sde_jax.metrics.metric import Result
from sde_jax.metrics.outputs import require_finite
from sde_jax.metrics.parts import mean_of
from sde_jax.metrics.samples import KeptSamples, Samples, compared, left_out
from sde_jax.pytree import in_one_line


@in_one_line
class Nearest(NamedTuple):
    """What is nearest to every generated example, in the order of their indices; [n] each.

    generated, training: indices; distance: Euclidean; ratio: distance over that of the second nearest, 1 where both are
    0.
    """

    generated: np.ndarray
    training: np.ndarray
    distance: np.ndarray
    ratio: np.ndarray


@dataclass(frozen=True)
class Memorisation(KeptSamples):
    """The share of generated examples that are copies: ratio < threshold (Yoon et al. 2023).

    ratio = |x - first| / |x - second|, of x's nearest and second nearest training examples: the reference must be the
    training data, each example once. `median_ratio`, `least_ratio` and `median_distance` are among the details. The
    standard error is that of a share. `limit` is None by default: a copy is found only where its original is kept.
    Raises `InputError` unless 0 < threshold <= 1.
    """

    limit: int | None = None
    threshold: float = 1 / 3

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.threshold <= 1:
            raise InputError(f"{self}: expected 0 < threshold <= 1")

    def nearest(self, generated: Samples, reference: Samples | None) -> Nearest:
        """Return the nearest training example of every generated one: what to show beside it."""
        x, y = compared(generated, reference)
        assert reference is not None
        rows, distances = nearest(x, y, 2)
        first, second = distances.T
        ratio = np.divide(first, second, out=np.ones(len(x)), where=second > 0)
        return Nearest(generated.indices, reference.indices[rows[:, 0]], first, ratio)

    def result(self, generated: Samples, reference: Samples | None) -> Result:
        """Return the share of copies."""
        found = self.nearest(generated, reference)
        assert reference is not None
        details = {
            "median_ratio": float(np.median(found.ratio)),
            "least_ratio": float(np.min(found.ratio)),
            "median_distance": float(np.median(found.distance)),
        }
        warnings = left_out(generated=generated, reference=reference)
        share = mean_of(found.ratio < self.threshold)
        return Result(*share, len(found.ratio), len(reference.indices), details, warnings)


def data_copying(generated: np.ndarray, held_out: np.ndarray) -> float:
    """Return Z_U of distances to the nearest training example, of generated and held-out examples [n] and [m].

        Z_U = (U - n m / 2) / sqrt(n m (n + m + 1) / 12),   U = #(generated > held-out), ties by half,

    the test of Meehan, Chaudhuri & Dasgupta 2020 (one cell): about N(0, 1) where generated examples are as far
    from the training data as held-out ones, far below -3 where they are copies, far above 3 where they do not fit.
    `Memorisation.nearest` gives the distances. Raises `InputError` for no distances, NaN and infinities.
    """
    x, y = np.asarray(generated, np.float64), np.asarray(held_out, np.float64)
    if x.ndim != 1 or y.ndim != 1 or not x.size or not y.size:
        raise InputError(f"distances of shapes {x.shape} and {y.shape}; expected [n] and [m], one or more")
    require_finite(generated=x, held_out=y)
    n, m, y = len(x), len(y), np.sort(y)
    above = (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")).sum() / 2
    return float((above - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))
