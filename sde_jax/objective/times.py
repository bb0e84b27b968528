"""Which times a batch is trained at."""

import abc
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax.scipy.special import logit, ndtr, ndtri
from jaxtyping import Float

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.prediction.label import require_table
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Key, Time

Number = Float[Array, ""]


@dataclass(frozen=True)
class Times(abc.ABC):
    """A distribution of times in [0, 1], given by its quantile function.

    stratified: whether a batch has one time in each of n equally probable strata, or n independent ones.
    """

    stratified: bool = field(default=True, kw_only=True)

    @abc.abstractmethod
    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return a time that a share u of all times lies below, or above: it may rise or fall with u."""

    def correction(self, sde: GaussianPath, t: Time) -> Number:
        """Return what the loss at a drawn time is multiplied by: 1 where the distribution is part of the objective."""
        return jnp.ones(())

    @takes_components
    def draw(self, key: Key, n: int, sde: GaussianPath) -> Float[Array, " n"]:
        """Draw the times of a batch of n examples, where stratified in order. Raises `InputError` unless n >= 1."""
        if not whole(n, 1):
            raise InputError(f"times for a batch of {n} examples: expected one or more")
        u = strata(key, n) if self.stratified else jax.random.uniform(key, (n,))
        return jax.vmap(lambda u: self.quantile(sde, u))(u)


def strata(key: Key, n: int) -> Float[Array, " n"]:
    """Return n numbers, each uniform on [0, 1], one in each of n equal strata (Kingma et al. 2021, appendix I.1)."""
    return (jnp.arange(n) + jax.random.uniform(key)) / n


def log_snr_range(sde: GaussianPath, start: float) -> tuple[Number, Number]:
    """Return log(alpha / sigma) at t = 1, or as near as `start` is to 0 where it is infinite there, and at `start`.

    Of a diagonal schedule the mean is meant.
    """
    last, inside, high = (jnp.mean(sde.log_snr(t)) for t in (1.0, 1 - start, start))
    return jnp.where(jnp.isfinite(last), last, inside), high


@dataclass(frozen=True)
class _From(Times):
    """Times in [start, 1], 0 < start < 1."""

    start: float = 1e-5

    def __post_init__(self):
        if not 0 < self.start < 1:
            raise InputError(f"{self}: expected 0 < start < 1")


@dataclass(frozen=True)
class Uniform(_From):
    """Times uniform on [start, 1] (Song et al. 2021, eq. 7).

    Raises `InputError` unless 0 < start < 1.
    """

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return start + (1 - start) u."""
        return self.start + (1 - self.start) * u


@dataclass(frozen=True)
class UniformLogSNR(_From):
    """Times whose log-SNR is uniform between those of 1 and `start`.

    With the weighting `Simple` this is likelihood weighting with importance-sampled times: g^2 |score error|^2 dt =
    -2 |epsilon error|^2 dlambda, without the variance of the weights (Song, Durkan et al. 2021, section 4.3; Kingma
    et al. 2021, eq. 17). Raises `InputError` unless 0 < start < 1.
    """

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the time of log-SNR lambda(start) + (lambda(1) - lambda(start)) u."""
        low, high = sde.log_snr(1.0), sde.log_snr(self.start)
        return sde.time_of(high + (low - high) * u)


@dataclass(frozen=True)
class Importance(UniformLogSNR):
    """Times of density proportional to g^2 / sigma^2, corrected: the same mean as `Uniform`, of less variance.

    Under the weighting `Likelihood` the loss at t is g^2 / sigma^2 |epsilon error|^2, of which this takes the factor
    that varies (Song, Durkan et al. 2021, section 4.3). Since g^2 / sigma^2 = -2 lambda', the times are those of
    `UniformLogSNR`; there the distribution is the objective, here it leaves it as it is.
    """

    def correction(self, sde: GaussianPath, t: Time) -> Number:
        """Return the mean of g^2 / sigma^2 over [start, 1], divided by its value at t."""
        mean_rate = 2 * (sde.log_snr(self.start) - sde.log_snr(1.0)) / (1 - self.start)
        return mean_rate * sde.variance(t) / sde.rates(t)[1]


@dataclass(frozen=True)
class LogNormal(_From):
    """Times at which log(sigma / alpha) ~ N(mean, deviation^2), within [start, 1] (Karras et al. 2022, table 1).

    Raises `InputError` unless deviation > 0 and 0 < start < 1.
    """

    mean: float = -1.2
    deviation: float = 1.2

    def __post_init__(self):
        super().__post_init__()
        _require_deviation(self)

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the time at which log(sigma / alpha) is the normal's quantile."""
        low, high = -sde.log_snr(self.start), -sde.log_snr(1.0)
        return sde.time_of(-_truncated_normal(self.mean, self.deviation, low, high, u))


@dataclass(frozen=True)
class LogitNormal(_From):
    """Times with log(t / (1 - t)) ~ N(mean, deviation^2), from `start` on (Esser et al. 2024).

    Raises `InputError` unless deviation > 0 and 0 < start < 1.
    """

    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        _require_deviation(self)

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the logistic function of the normal's quantile."""
        low = logit(jnp.asarray(self.start, float))
        return jax.nn.sigmoid(_truncated_normal(self.mean, self.deviation, low, jnp.asarray(jnp.inf), u))


@dataclass(frozen=True)
class TableTimes(Times):
    """The times of the rows of a discrete chain's table, all alike: the objectives of DDPM and SMLD."""

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the time of row floor(u steps). Raises `InputError` for a path without a table."""
        table = require_table(sde, "TableTimes")
        return table.time(jnp.clip(jnp.floor(u * table.steps), 0, table.steps - 1).astype(int))


def _require_deviation(times: LogNormal | LogitNormal) -> None:
    if not times.deviation > 0:
        raise InputError(f"{times}: expected deviation > 0")


def _truncated_normal(mean: float, deviation: float, low: Array, high: Array, u: Number) -> Number:
    """Return the quantile at u of N(mean, deviation^2) given that it is in [low, high]."""
    below, above = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
    return jnp.clip(mean + deviation * ndtri(below + (above - below) * u), low, high)
