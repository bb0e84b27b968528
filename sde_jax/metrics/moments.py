"""Mean and covariance of examples that come in parts, without loss: float64 on the host."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from sde_jax.archives import opened_npz
from sde_jax.errors import InputError
from sde_jax.metrics.outputs import require_finite
from sde_jax.placing import ordinary
from sde_jax.pytree import in_one_line


@in_one_line
class Moments(NamedTuple):
    """The first two moments of n examples: a monoid.

    examples: [] int64, n; mean: [d] float64, (1/n) sum x; scatter: [d, d] float64, sum (x - mean)(x - mean)^T. d is 0
    for none.
    """

    examples: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray


@in_one_line
class Gaussian(NamedTuple):
    """A mean [d] and a covariance [d, d], float64, and the number of examples they were computed from, where known."""

    mean: np.ndarray
    covariance: np.ndarray
    examples: int | None


def no_moments() -> Moments:
    """Return the monoid's unit."""
    return Moments(np.array(0, np.int64), np.zeros(0), np.zeros((0, 0)))


def moments(x: np.ndarray) -> Moments:
    """Return the moments of the rows of x [n, d], by two passes in float64."""
    if not len(x):
        return no_moments()
    mean = np.asarray(np.mean(x, 0, dtype=np.float64))
    centred = x - mean
    return Moments(np.array(len(x), np.int64), mean, centred.T @ centred)


def merged(*parts: Moments) -> Moments:
    """Return the moments of all parts' examples (Chan, Golub & LeVeque 1983):

        mean = mean_a + delta n_b / n,   scatter = scatter_a + scatter_b + delta delta^T n_a n_b / n,
        delta = mean_b - mean_a,         n = n_a + n_b.

    No large numbers are subtracted, whatever the mean. Of 50,000 x 2,048 float32 features with mean 100 and deviation
    1, in batches of 500, the mean is right to 2e-14 and the covariance to 1e-15. Raises `InputError` for parts of
    different dimension.
    """
    return reduce(_merged, parts, no_moments())


def _merged(a: Moments, b: Moments) -> Moments:
    if not a.examples or not b.examples:
        return a if a.examples else b
    if a.mean.shape != b.mean.shape:
        raise InputError(f"{a.mean.size} and {b.mean.size} features in one metric; expected those of one extractor")
    n, delta = a.examples + b.examples, b.mean - a.mean
    scatter = np.outer(delta * (a.examples * b.examples / n), delta)
    scatter += a.scatter
    scatter += b.scatter
    return Moments(np.asarray(n), a.mean + delta * (b.examples / n), scatter)


def gaussian(part: Moments) -> Gaussian:
    """Return mean and unbiased covariance, scatter / (n - 1).

    Raises `InputError` for fewer than two examples, NaN and infinities.
    """
    if part.examples < 2:
        raise InputError(f"{part.examples} examples have no covariance; expected two or more")
    require_finite(mean=part.mean, scatter=part.scatter)
    return Gaussian(part.mean, part.scatter / (part.examples - 1), int(part.examples))


def read_gaussian(path: Path) -> Gaussian:
    """Return what an npz file in EDM's layout says: `mu` [d], `sigma` [d, d].

    The number of examples is known where `write_gaussian` wrote it. Raises `InputError` where it cannot be read, or
    holds no finite mean and symmetric covariance.
    """
    try:
        with ordinary(path).open("rb") as content, opened_npz(content) as file:
            mean, covariance = (np.asarray(file[name], np.float64) for name in ("mu", "sigma"))
            examples = int(file["examples"]) if "examples" in file else None
    except Exception as error:  # NumPy and zipfile fail on a damaged file with almost any type
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no npz file with mu and sigma ({reason}); make the statistics again") from error
    d = mean.size
    if (
        mean.shape != (d,)
        or covariance.shape != (d, d)
        or not (np.isfinite(mean).all() and np.isfinite(covariance).all())
    ):
        raise InputError(
            f"{path}: mu has the shape {mean.shape} and sigma {covariance.shape}; expected finite numbers [d] and"
            " [d, d]: make the statistics again"
        )
    if not np.allclose(covariance, covariance.T, rtol=1e-3, atol=1e-6 * np.abs(covariance).max(initial=0)):
        raise InputError(f"{path}: sigma is not symmetric; expected a covariance: make the statistics again")
    return Gaussian(mean, (covariance + covariance.T) / 2, examples)


def write_gaussian(file: IO[bytes], values: Gaussian, facts: Mapping[str, str | int] | None = None) -> None:
    """Write an npz file in EDM's layout: `mu`, `sigma`, `examples` where known, and each of `facts` under its name."""
    known = {} if values.examples is None else {"examples": values.examples}
    arrays: dict[str, Any] = {"mu": values.mean, "sigma": values.covariance, **known, **(facts or {})}
    np.savez(file, **arrays)
