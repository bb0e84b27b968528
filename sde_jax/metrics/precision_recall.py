"""Whether samples look like data, and whether all data look like samples: balls about the examples of either."""

from dataclasses import dataclass

import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.metrics.distances import nearest_others, squared_distances
from sde_jax.metrics.metric import Result
from sde_jax.metrics.parts import mean_of
from sde_jax.metrics.samples import KeptSamples, Samples, compared, left_out

_ROUNDING = 1e-9


@dataclass(frozen=True)
class _Balls(KeptSamples):
    """k: an example's ball reaches to its k-th nearest neighbour in its own set, and is closed.

    Balls need n^2 d products: minutes to tens of them for 50,000 examples of 2,048 features, which `limit` cuts.
    """

    k: int = 3

    def __post_init__(self):
        super().__post_init__()
        if not whole(self.k, 1):
            raise InputError(f"{self}: expected k >= 1")

    def _compared(self, generated: Samples, reference: Samples | None) -> tuple[np.ndarray, np.ndarray]:
        return compared(generated, reference, self.k + 1)

    def _squared_radii(self, x: np.ndarray) -> np.ndarray:
        # What lies on a ball's rim, as copies of data do, is in it, whichever way its distance was rounded.
        return nearest_others(x, self.k).distances[:, -1] ** 2 * (1 + _ROUNDING)


@dataclass(frozen=True)
class PrecisionRecall(_Balls):
    """Improved precision and recall (Kynkaanniemi et al. 2019, eqs. 1 and 2).

    precision: the share of generated examples in the ball of any reference example; recall: the share of reference
    examples in the ball of any generated one. The value is the precision; both are among the details. Standard errors
    are those of a share, given the balls. They depend on the numbers of examples: compare equal ones alone. Raises
    `InputError` unless k >= 1.
    """

    def result(self, generated: Samples, reference: Samples | None) -> Result:
        """Return both shares. Raises `InputError` for k examples or fewer, of either."""
        x, y = self._compared(generated, reference)
        radii_x, radii_y = self._squared_radii(x), self._squared_radii(y)
        real, covered = np.zeros(len(x), bool), np.zeros(len(y), bool)
        for rows, distances in squared_distances(x, y):
            real[rows] = (distances <= radii_y).any(1)
            covered |= (radii_x[rows] >= distances.T).any(1)
        precision, recall = mean_of(real), mean_of(covered)
        details = {**precision.named("precision"), **recall.named("recall")}
        other = len(x) != len(y) and f"{len(x)} generated and {len(y)} reference examples: both shares depend on these"
        warnings = ((other,) if other else ()) + left_out(generated=generated, reference=reference)
        return Result(*precision, len(x), len(y), details, warnings)


@dataclass(frozen=True)
class DensityCoverage(_Balls):
    """Density and coverage (Naeem et al. 2020).

    density: how many reference balls hold a generated example, on average and over k: about 1 for samples of the data's
    distribution, and it may be larger; coverage: the share of reference balls that hold a generated example. The value
    is the density; both are among the details. Standard errors are those of a mean, given the balls. Raises
    `InputError` unless k >= 1.
    """

    k: int = 5

    def result(self, generated: Samples, reference: Samples | None) -> Result:
        """Return both numbers. Raises `InputError` for k examples or fewer, of either."""
        x, y = self._compared(generated, reference)
        radii = self._squared_radii(y)
        balls, covered = np.zeros(len(x)), np.zeros(len(y), bool)
        for rows, distances in squared_distances(x, y):
            inside = distances <= radii
            balls[rows] = inside.sum(1) / self.k
            covered |= inside.any(0)
        density, coverage = mean_of(balls), mean_of(covered)
        details = {**density.named("density"), **coverage.named("coverage")}
        return Result(*density, len(x), len(y), details, left_out(generated=generated, reference=reference))
