"""Grids of times for the fixed-step samplers."""

import abc
from dataclasses import dataclass
from typing import Protocol, cast

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from sde_jax.errors import InputError, whole
from sde_jax.pytree import concrete
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array


class Spacing(Protocol):
    """How a number of steps is spread between two times."""

    def times(
        self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0
    ) -> Float[np.ndarray, " steps+1"]:
        """Return the steps + 1 times from `start` down to `end`."""
        ...


def uniform(steps: int, end: float = 1e-3, start: float = 1.0) -> Float[np.ndarray, " steps+1"]:
    """Return `steps` equal steps from t = `start` down to t = `end` (Song et al. 2021, appendix G).

    Raises `InputError` unless steps >= 1 and 0 <= end < start <= 1.
    """
    if not whole(steps, 1) or not 0 <= end < start <= 1:
        raise InputError(
            f"a grid of {steps} steps from t = {start} to t = {end}: expected steps >= 1 and 0 <= end < start <= 1, "
            "steps a whole number"
        )
    return np.linspace(start, end, steps + 1)


@dataclass(frozen=True)
class Uniform:
    """Equal steps in t."""

    def times(self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0) -> np.ndarray:
        """Return the grid; raises `InputError` as `uniform` does."""
        return uniform(steps, end, start)


@dataclass(frozen=True)
class Quadratic:
    """Equal steps in sqrt(t), finer towards data (Song, Meng & Ermon 2021, appendix D.2)."""

    def times(self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0) -> np.ndarray:
        """Return the grid; raises `InputError` as `uniform` does."""
        uniform(steps, end, start)
        times = np.square(np.linspace(np.sqrt(start), np.sqrt(end), steps + 1))
        times[[0, -1]] = start, end
        return times


@dataclass(frozen=True)
class NoiseGrid(abc.ABC):
    """Grids spread by rho = sigma / alpha, the noise relative to the signal.

    Of a diagonal schedule the geometric mean is meant. Times are found in float64 and are different numbers in JAX's
    default precision, in which samplers count them.
    """

    @abc.abstractmethod
    def noise(self, first: float, last: float, steps: int) -> np.ndarray:
        """Return the steps + 1 values of rho, from first, which may be infinite, down to last, which may be 0.

        Raises `InputError` where there are no such values.
        """

    def times(self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0) -> np.ndarray:
        """Return the grid.

        Raises `InputError` as `uniform` does, for too few steps, for a traced path, and where the default precision
        has no times with the rho wanted: close to t = 1 numbers are far apart.
        """
        uniform(steps, end, start)
        if not concrete(sde):
            raise InputError(f"{self} of a traced {type(sde).__name__}: expected to be made outside of transformations")
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            first, last = (float(jnp.exp(-jnp.mean(sde.log_snr(t)))) for t in (start, end))
            rho = self.noise(first, last, steps)[1:-1]
            inside = np.array(_times_of(sde, jnp.asarray(-np.log(rho))), float)
        times = _apart(np.concatenate([[start], inside, [end]]))
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            off = np.abs(np.asarray(_log_snrs(sde, jnp.asarray(times[1:-1]))) + np.log(rho))
        if times[-1] != end or not np.all(off <= NEAR):
            n = int(np.argmax(~(off <= NEAR))) if len(off) else 0
            raise InputError(
                f"{self} on {type(sde).__name__} in {steps} steps: no time in {jnp.result_type(float)} has rho = "
                f"{rho[n]:.3g}, near t = {times[n + 1]:.9g}: expected bounds that it can tell from t = "
                f"{start:g} and {end:g}, fewer steps, or float64 (jax_enable_x64)"
            )
        return times


NEAR = 0.25
"""How far a time's lambda may be from the one wanted, where the numbers next to t = 1 are further apart."""


def _apart(times: np.ndarray) -> np.ndarray:
    """Return falling times as different numbers of the default precision, each the nearest one that is still free."""
    apart = times.astype(jnp.result_type(float))
    for n in range(1, len(apart)):
        apart[n] = min(apart[n], np.nextafter(apart[n - 1], apart.dtype.type(-1)))
    ends = times[[0, -1]]
    kept = apart[[0, -1]] == ends.astype(apart.dtype)
    apart = apart.astype(float)
    apart[[0, -1]] = np.where(kept, ends, apart[[0, -1]])
    return apart


@jax.jit
def _times_of(sde: GaussianPath, log_snr: Float[Array, " n"]) -> Float[Array, " n"]:
    return jax.vmap(sde.time_of)(log_snr)


@jax.jit
def _log_snrs(sde: GaussianPath, times: Float[Array, " n"]) -> Float[Array, " n"]:
    return jax.vmap(lambda t: jnp.mean(sde.log_snr(t)))(times)


@dataclass(frozen=True)
class BoundedNoiseGrid(NoiseGrid):
    """Grids of rho between two finite bounds.

    From rho at the start, or after a step down to `largest` where that is infinite; to rho at the end, or to
    `smallest` and a last step from there where that is 0. Elsewhere the two are not used. Raises `InputError` unless
    0 < smallest < largest.
    """

    smallest: float = 0.002
    largest: float = 80.0

    def __post_init__(self):
        if not 0 < self.smallest < self.largest:
            raise InputError(f"{self}: expected 0 < smallest < largest")

    @abc.abstractmethod
    def between(self, first: float, last: float, points: int) -> np.ndarray:
        """Return `points` values of rho from first down to last."""

    def noise(self, first: float, last: float, steps: int) -> np.ndarray:
        """Return the values of rho; raises `InputError` where steps are too few, or the bounds not in between."""
        head, tail = [np.inf] if np.isinf(first) else [], [0.0] if last == 0 else []
        points = steps + 1 - len(head) - len(tail)
        if points < 2:
            raise InputError(f"{self} in {steps} steps: expected {steps + 2 - points} or more")
        if (tail and not head and not self.smallest < first) or (head and not tail and not last < self.largest):
            raise InputError(f"{self} from rho = {first:g} to {last:g}: expected smallest and largest in between")
        rho = self.between(self.largest if head else first, self.smallest if tail else last, points)
        return np.concatenate([head, rho, tail])


@dataclass(frozen=True)
class LogSNR(BoundedNoiseGrid):
    """Equal steps in lambda = -log rho, the grid of DPM-Solver (Lu et al. 2022)."""

    def between(self, first: float, last: float, points: int) -> np.ndarray:
        """Return a geometric sequence."""
        return np.geomspace(first, last, points)


@dataclass(frozen=True)
class Karras(BoundedNoiseGrid):
    """Equal steps in rho^(1/power) (Karras et al. 2022, eq. 5, whose rho is this power); power = 1: equal in rho.

    Raises `InputError` unless power > 0.
    """

    power: float = 7.0

    def __post_init__(self):
        super().__post_init__()
        if not self.power > 0:
            raise InputError(f"{self}: expected power > 0")

    def between(self, first: float, last: float, points: int) -> np.ndarray:
        """Return the power of an arithmetic sequence."""
        return np.linspace(first ** (1 / self.power), last ** (1 / self.power), points) ** self.power


@dataclass(frozen=True)
class Logistic(NoiseGrid):
    """Equal steps in u = 1 / (1 + (middle / rho)^(1 / power)), the logistic function of log(rho / middle) / power.

    Steps are shortest, in log rho, about `middle`: between small rho, where x is all but clean, and large rho, where
    the estimate is all but the data's mean. rho may begin at infinity and end at 0. power = middle = 1: equal steps in
    t of rectified flow; middle far above all rho: `Karras`, of the same power. Raises `InputError` unless both are
    positive.
    """

    power: float = 2.0
    middle: float = 1.0

    def __post_init__(self):
        if not (self.power > 0 and self.middle > 0):
            raise InputError(f"{self}: expected power > 0 and middle > 0")

    def noise(self, first: float, last: float, steps: int) -> np.ndarray:
        """Return the values of rho."""
        with np.errstate(divide="ignore"):
            start, end = (1 / (1 + np.divide(self.middle, rho) ** (1 / self.power)) for rho in (first, last))
        u = np.linspace(start, end, steps + 1)
        rho = np.concatenate([[first], self.middle * (u[1:-1] / (1 - u[1:-1])) ** self.power, [last]])
        return rho


def official(steps: int, end: float = 1e-3, start: float = 1.0) -> Float[np.ndarray, " steps+1"]:
    """Return `steps` times from `start` down to `end` > 0, evenly spread, and then 0: a step starts at each of them.

    The grid of the official code, whose last step starts at `end` and, by its tables, comes to data.
    Raises `InputError` unless steps >= 2 and 0 < end < start <= 1.
    """
    if not whole(steps, 2) or not 0 < end < start <= 1:
        raise InputError(
            f"official(steps={steps}, end={end}, start={start}): expected steps >= 2, a whole number, and "
            "0 < end < start <= 1"
        )
    return np.append(np.linspace(start, end, steps), 0.0)


@dataclass(frozen=True)
class OfficialGrid:
    """The grid of the official code, `official`: one time more than others of `end`, and the last is 0."""

    def times(self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0) -> np.ndarray:
        """Return the grid; raises `InputError` as `official` does."""
        return official(steps, end, start)


def checked(grid: ArrayLike) -> Float[Array, " steps+1"]:
    """Return the grid as an array; raises `InputError` unless it falls strictly, within [0, 1].

    Inside a transformation a traced grid has no values to look at, and passes.
    """
    if isinstance(grid, jax.core.Tracer):
        return grid
    try:
        times = np.asarray(grid)
    except ValueError:
        raise InputError(f"grid = {grid}: expected two or more times, floats") from None
    if times.ndim != 1 or times.size < 2 or not np.issubdtype(times.dtype, np.floating):
        raise InputError(f"grid of shape {times.shape} and type {times.dtype}: expected two or more times, floats")
    given, times = times, times.astype(jnp.result_type(float))  # numbers that solvers may look at, unlike tracers
    same = np.flatnonzero((np.diff(given) < 0) & (np.diff(times) == 0))
    if same.size:
        raise InputError(
            f"grid with {given[same[0]]!r} and {given[same[0] + 1]!r}, which are one number in {times.dtype}: expected "
            "times that fall strictly in it; take fewer steps there, or float64 (jax_enable_x64)"
        )
    if not (np.all(np.diff(times) < 0) and times[0] <= 1 and times[-1] >= 0):
        raise InputError(f"grid from {times[0]:g} to {times[-1]:g}: expected times that fall strictly, within [0, 1]")
    return cast(Array, times)


def frames_of(steps: int, frames: int) -> Int[np.ndarray, " frames"]:
    """Return which of the steps + 1 times of a grid are kept: `frames` of them, evenly spread, the last included.

    Raises `InputError` unless 0 <= frames <= steps + 1.
    """
    if not whole(frames, 0, steps + 1):
        raise InputError(f"frames = {frames} of a grid of {steps + 1} times: expected a whole number, at most as many")
    return np.round(np.linspace(steps, 0, frames)).astype(int)[::-1]
