"""Which times a batch is trained at."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax.scipy.special import logit, ndtr, ndtri
from jaxtyping import Float

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.prediction.label import require_table
from sde_jax.pytree import concrete, holds
from sde_jax.sde import GaussianPath, last_time, log_snr_range
from sde_jax.sde.path import require_path
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

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` where the path has no such times. One whose numbers are traced passes."""
        require_path(sde)

    @takes_components
    def draw(self, key: Key, n: int, sde: GaussianPath) -> Float[Array, " n"]:
        """X"""
        if not whole(n, 1):
            raise InputError(f"times for a batch of {n} examples: expected one or more")
        self.require_fit(sde)
        u = strata(key, n) if self.stratified else jax.random.uniform(key, (n,))
        return jax.vmap(lambda u: self.quantile(sde, u))(u)


def strata(key: Key, n: int) -> Float[Array, " n"]:
    """Return n numbers, each uniform on [0, 1], one in each of n equal strata (Kingma et al. 2021, appendix I.1)."""
    return (jnp.arange(n) + jax.random.uniform(key)) / n


@dataclass(frozen=True)
class _From(Times):
    """Times in [start, 1], 0 < start < 1."""

    start: float = 1e-5

    def __post_init__(self):
        if not holds(lambda start: 0 < start < 1, self.start):
            raise InputError(f"{self}: expected 0 < start < 1")

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` where log(alpha / sigma) is infinite at `start` too."""
        if not concrete((sde, vars(self))):
            return
        with jax.ensure_compile_time_eval():
            low, high = map(float, log_snr_range(sde, self.start))
        if not -math.inf < low < high < math.inf:
            raise InputError(
                f"{self} on {type(sde).__name__}: log(alpha / sigma) from {low:g} to {high:g}: expected finite "
                "numbers; take a larger start"
            )


@dataclass(frozen=True)
class Uniform(_From):
    """Times uniform on [start, 1] (Song et al. 2021, eq. 7), without 1 itself where the log-SNR is infinite there.

    Raises `InputError` unless 0 < start < 1.
    """

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return start + (1 - start) u, at most the `last_time` of all."""
        return jnp.minimum(self.start + (1 - self.start) * u, last_time(sde, 0.0))


@dataclass(frozen=True)
class UniformLogSNR(_From):
    """Times whose log-SNR is uniform in its `log_snr_range`, between those of 1, or 1 - start, and of `start`.

    With the weighting `Simple` this is likelihood weighting with importance-sampled times: g^2 |score error|^2 dt =
    -2 |epsilon error|^2 dlambda, without the variance of the weights (Song, Durkan et al. 2021, section 4.3; Kingma
    et al. 2021, eq. 17). Raises `InputError` unless 0 < start < 1.
    """

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the time of log-SNR high + (low - high) u."""
        low, high = log_snr_range(sde, self.start)
        return sde.time_of(high + (low - high) * u)


@dataclass(frozen=True)
class Importance(UniformLogSNR):
    """Times of density proportional to g^2 / sigma^2, corrected: the same mean as `Uniform`, of less variance.

    Under the weighting `Likelihood` the loss at t is g^2 / sigma^2 |epsilon error|^2, of which this takes the factor
    that varies (Song, Durkan et al. 2021, section 4.3). Since g^2 / sigma^2 = -2 lambda', the times are those of
    `UniformLogSNR`; there the distribution is the objective, here it leaves it as it is, up to the time 1 - start where
    the log-SNR is infinite at 1, and so is the mean of g^2 / sigma^2. Of a diagonal schedule the mean over the numbers
    is meant.
    """

    def correction(self, sde: GaussianPath, t: Time) -> Number:
        """Return the mean of g^2 / sigma^2 over all times, divided by its value at t."""
        low, high = log_snr_range(sde, self.start)
        mean_rate = 2 * (high - low) / (last_time(sde, self.start) - self.start)
        return mean_rate / jnp.mean(sde.rates(t)[1] / sde.variance(t))


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

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` too where the path passes noise levels of which the normal has no share."""
        super().require_fit(sde)
        _require_share(self, sde, self._log_noise, "log(sigma / alpha) of the path")

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the time at which log(sigma / alpha) is the normal's quantile."""
        return sde.time_of(-self._log_noise(sde, u))

    def _log_noise(self, sde: GaussianPath, u: Number) -> Number:
        low, high = log_snr_range(sde, self.start)
        return _truncated_normal(self.mean, self.deviation, -high, -low, u)


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

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` too where the normal has no share of the times."""
        super().require_fit(sde)
        _require_share(self, sde, self.quantile, "logit of times from start to 1")

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the logistic function of the normal's quantile, at most the `last_time` of all."""
        low = logit(jnp.asarray(self.start, float))
        t = jax.nn.sigmoid(_truncated_normal(self.mean, self.deviation, low, jnp.asarray(jnp.inf), u))
        return jnp.minimum(t, last_time(sde, 0.0))


@dataclass(frozen=True)
class TableTimes(Times):
    """The times of the rows of a discrete chain's table, all alike: the objectives of DDPM and SMLD."""

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` for a path without a table."""
        require_table(sde, "TableTimes")

    def quantile(self, sde: GaussianPath, u: Number) -> Number:
        """Return the time of row floor(u steps). Raises `InputError` for a path without a table."""
        table = require_table(sde, "TableTimes")
        return table.time(jnp.clip(jnp.floor(u * table.steps), 0, table.steps - 1).astype(int))


def _require_deviation(times: LogNormal | LogitNormal) -> None:
    if not holds(lambda deviation: deviation > 0, times.deviation):
        raise InputError(f"{times}: expected deviation > 0")


def _require_share(
    times: LogNormal | LogitNormal, sde: GaussianPath, quantile: Callable[[GaussianPath, Number], Number], where: str
) -> None:
    """Raise `InputError` unless the quartiles differ: of a normal that is elsewhere all draws are one end."""
    if not concrete((sde, vars(times))):
        return
    with jax.ensure_compile_time_eval():
        first, third = (float(quantile(sde, jnp.asarray(u))) for u in (0.25, 0.75))
    if first == third:
        raise InputError(
            f"{times} on {type(sde).__name__}: the normal has no share in the {where}: expected a mean nearer to it, "
            "or a larger deviation"
        )


def _truncated_normal(mean: float, deviation: float, low: Array, high: Array, u: Number) -> Number:
    """Return the quantile at u of N(mean, deviation^2) given that it is in [low, high]."""
    below, above = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
    return jnp.clip(mean + deviation * ndtri(below + (above - below) * u), low, high)
