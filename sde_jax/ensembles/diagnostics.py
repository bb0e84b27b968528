"""Whether ensembles are as uncertain as they should be, given what turned out to be true.

An ensemble is calibrated where the truth and its m members are exchangeable: the truth's rank among them is then
uniform over 0 .. m. Everything here is a function of `truth` [n, *shape] and `members` [n, m, *shape] of n examples,
exact for a calibrated ensemble at any m. `where`, a truth value that broadcasts against `truth`, says which entries
count; the entries of an example depend on each other, so standard errors are over examples. An entry that counts must
be finite, of the truth and of every member: all raise `InputError`, saying how many are not.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import ArrayLike, Bool, Float

from sde_jax.errors import InputError, whole
from sde_jax.metrics import require_finite


class Estimate(NamedTuple):
    """A mean over the entries of all examples, and its standard error over examples, NaN of a single one."""

    value: float
    standard_error: float


class SpreadSkill(NamedTuple):
    """spread: root mean variance of the members; skill: root mean square error of their mean; ratio: as there."""

    spread: float
    skill: float
    ratio: Estimate


class Uniformity(NamedTuple):
    """A chi-square statistic of a histogram against the uniform one, its degrees of freedom and p-value."""

    chi_square: float
    degrees: int
    p_value: float


def coverage(truth: ArrayLike, members: ArrayLike, level: float, where: ArrayLike = True) -> Estimate:
    """Return how often the central interval that should hold a share `level` of truths holds them.

    The interval is that of the ranks: the truth's rank r of m + 1 stands for [r, r + 1) / (m + 1), and counts by how
    much of that lies within [1 - level, 1 + level] / 2. Without rounding to whole members the expected value is
    `level` itself, for any m. Raises `InputError` for shapes that do not fit, and unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level = {level}: expected a share between 0 and 1")
    first, last, counted = _ranks(truth, members, where)
    inside = _share_within(first, last, 0.5 * (1 - level), 0.5 * (1 + level))
    return _estimate(_total(inside, counted), _total(1, counted))


def rank_histogram(
    truth: ArrayLike, members: ArrayLike, bins: int, where: ArrayLike = True
) -> Float[np.ndarray, "n b"]:
    """Return how many of an example's entries have ranks in each of so many equal parts of 0 .. m, [n, bins].

    (Hamill 2001.) A slope is a bias, a U an ensemble that is too narrow, a hump one too wide. A rank that a part's end
    cuts through counts in both, ties are spread evenly; a row's sum is the number of entries that count. Raises
    `InputError` unless bins >= 1.
    """
    if not whole(bins, 1):
        raise InputError(f"bins = {bins}: expected a whole number, 1 or more")
    first, last, counted = _ranks(truth, members, where)
    edges = np.linspace(0, 1, bins + 1)
    parts = [_total(_share_within(first, last, *ends), counted) for ends in pairwise(edges)]
    return np.stack(parts, 1)


def uniformity(histogram: Float[ArrayLike, "n b"]) -> Uniformity:
    """Test whether histograms of n independent examples are, on average, uniform.

    chi^2 = (b - 1) sum_i (p_i - 1/b)^2 / sum_i var(p_i), with var(p_i) over examples: Pearson's statistic where each
    has one rank, and corrected for how much the ranks of one example depend on each other otherwise (Rao & Scott 1981,
    first order). NaN of a single example. Raises `InputError` for a histogram that counts nothing, or is not finite.
    """
    rows = np.asarray(histogram, np.float64)
    require_finite(histogram=rows)
    if rows.ndim != 2 or np.any(rows < 0) or not rows.sum() > 0:
        raise InputError(f"a histogram of shape {rows.shape}: expected counts [n, b], 0 or more, not all of them 0")
    n, bins = rows.shape
    if n < 2:
        return Uniformity(np.nan, bins - 1, np.nan)
    share = rows.sum(0) / rows.sum()
    off = rows - share * rows.sum(1, keepdims=True)
    variance = n / (n - 1) * np.sum(off**2) / rows.sum() ** 2
    statistic = float((bins - 1) * np.sum((share - 1 / bins) ** 2) / max(variance, 1e-12))
    return Uniformity(statistic, bins - 1, float(scipy.special.chdtrc(bins - 1, statistic)))


def spread_skill(truth: ArrayLike, members: ArrayLike, where: ArrayLike = True) -> SpreadSkill:
    """Return spread and skill, and sqrt((m + 1) / m) spread / skill: 1 where calibrated, less where too narrow.

    (Fortin et al. 2014, eq. 15.) Raises `InputError` for a single member, for shapes that do not fit, and where the
    members' mean is the truth itself, so that there is no error to compare with.
    """
    truth, members, counted = _checked(truth, members, where)
    m = _several(members)
    error = _total((truth - members.mean(1)) ** 2, counted)
    variance = _total(members.var(1, ddof=1), counted)
    if not error.sum() > 0:
        raise InputError("the members' mean equals the truth wherever it counts: expected an error to compare with")
    square = _estimate(variance, error)
    ratio = np.sqrt((m + 1) / m * square.value)
    entries = _total(1, counted).sum()
    error_of_ratio = 0.5 * ratio * square.standard_error / square.value if square.value > 0 else 0.0
    spread, skill = (float(np.sqrt(a.sum() / entries)) for a in (variance, error))
    return SpreadSkill(spread, skill, Estimate(float(ratio), float(error_of_ratio)))


def crps(truth: ArrayLike, members: ArrayLike, where: ArrayLike = True) -> Estimate:
    """Return the fair continuous ranked probability score, in the units of the truth; less is better.

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 m (m - 1)): unbiased for the score of the distribution that members are
    drawn from (Ferro 2014, eq. 6), so that ensembles of different m compare. Raises `InputError` as `spread_skill`.
    """
    truth, members, counted = _checked(truth, members, where)
    m = _several(members)
    weights = (2 * np.arange(1, m + 1) - m - 1) / (m * (m - 1))
    half_difference = np.tensordot(np.sort(members, 1), weights, (1, 0))
    score = np.abs(members - truth[:, None]).mean(1) - half_difference
    return _estimate(_total(score, counted), _total(1, counted))


def _checked(truth: ArrayLike, members: ArrayLike, where: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth, members = np.asarray(truth, np.float64), np.asarray(members, np.float64)
    if members.ndim != truth.ndim + 1 or members.shape[:1] + members.shape[2:] != truth.shape or not members.size:
        raise InputError(f"truth {truth.shape}, members {members.shape}: expected [n, ...] and [n, m, ...], not empty")
    counted = np.broadcast_to(np.asarray(where, bool), truth.shape)
    if not counted.any():
        raise InputError("no entry counts: expected some where `where` is true")
    require_finite(truth=truth[counted], members=np.moveaxis(members, 1, -1)[counted])
    return truth, members, counted


def _several(members: np.ndarray) -> int:
    if members.shape[1] < 2:
        raise InputError("one member has no spread: expected two or more")
    return members.shape[1]


def _ranks(
    truth: ArrayLike, members: ArrayLike, where: ArrayLike
) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, "..."]]:
    """Return the ends of the interval of [0, 1] that each truth's rank stands for: wider where members equal it."""
    truth, members, counted = _checked(truth, members, where)
    below, upto = (np.sum(a, 1) for a in (members < truth[:, None], members <= truth[:, None]))
    size = members.shape[1] + 1
    return below / size, (upto + 1) / size, counted


def _share_within(first: np.ndarray, last: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.minimum(last, high) - np.maximum(first, low), 0, None) / (last - first)


def _total(values: ArrayLike, counted: np.ndarray) -> Float[np.ndarray, " n"]:
    return np.where(counted, values, 0).reshape(len(counted), -1).sum(1).astype(np.float64)


def _estimate(above: Float[np.ndarray, " n"], below: Float[np.ndarray, " n"]) -> Estimate:
    """Return sum above / sum below, and the standard error by its linearisation over n examples."""
    value, n = above.sum() / below.sum(), len(above)
    error = np.sqrt(n / (n - 1) * np.sum((above - value * below) ** 2)) / below.sum() if n > 1 else np.nan
    return Estimate(float(value), float(error))
