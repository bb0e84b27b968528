"""The mean of estimates from parts that share no example, and how far it may be off."""

from typing import NamedTuple

import numpy as np
import scipy


class Mean(NamedTuple):
    """A mean, its standard error and the interval that holds the true mean with probability 95%, None for one part."""

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None

    def named(self, name: str) -> dict[str, float]:
        """Return value and standard error, where there is one, as details of a result."""
        error = {} if self.standard_error is None else {f"{name}_standard_error": self.standard_error}
        return {name: self.value, **error}


def mean_of(values: np.ndarray, independent: int | None = None) -> Mean:
    """Return the mean of estimates, its error and interval.

    Where parts overlap, `independent` says how many do not; the error is that of a mean of so many, which is too large
    rather than too small.
    """
    value, parts = float(np.mean(values)), min(len(values), independent or len(values))
    if parts < 2:
        return Mean(value, None, None)
    error = float(np.std(values, ddof=1) / np.sqrt(parts))
    return Mean(value, error, interval(value, error, parts - 1))


def interval(value: float, error: float, freedom: int) -> tuple[float, float]:
    """Return what holds the true value with probability 95%, by Student's t with `freedom` degrees of freedom."""
    reach = float(scipy.special.stdtrit(freedom, 0.975)) * error
    return value - reach, value + reach


def jackknife_error(values: np.ndarray) -> float | None:
    """Return an estimate's standard error, sqrt((g - 1)/g sum_i (v_i - mean v)^2); None for fewer than two parts.

    v_i is the estimate from all examples but those of part i of g (Efron & Stein 1981).
    """
    g = len(values)
    return float(np.sqrt((g - 1) * np.var(values))) if g > 1 else None


def folds(x: np.ndarray, y: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return x and y cut into `count` pairs of rows i mod `count`; fewer where a fold would have less than two rows."""
    count = min(count, len(x) // 2, len(y) // 2)
    return [(x[i::count], y[i::count]) for i in range(count)]
