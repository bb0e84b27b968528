"""Methods whose V_t = R + A C A^T takes a linear system: choices of C, the covariance of x0 given x_t."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, whole
from sde_jax.guidance.conjugate_gradients import Solved, solve
from sde_jax.guidance.posterior import Corrected, Linearised, Values
from sde_jax.pytree import holds
from sde_jax.typing import Array

TRUSTED = 0.1
"""The relative residual up to which moment matching's own linear system is used."""


@dataclass(frozen=True)
class _Gain(abc.ABC):
    """A method with a linear system, solved in at most `iterations` of conjugate gradients.

    tolerance: the relative residual at which they end, and above which the result counts as unsolved. They are
    preconditioned by what V would be of C = `_width` I, each source by itself and A A^T by its mean eigenvalue, so that
    sources of very different noise are solved together. Raises `InputError` unless iterations >= 1 and
    0 < tolerance < 1.
    """

    iterations: int = 100
    tolerance: float = 1e-3
    least_churn: ClassVar[float] = 1.0

    def __post_init__(self):
        if not whole(self.iterations, 1) or not holds(lambda least: 0 < least < 1, self.tolerance):
            raise InputError(f"{self}: expected iterations >= 1 and 0 < tolerance < 1")

    @abc.abstractmethod
    def _width(self, at: Linearised) -> Array:
        """Return r^2, the variance of a number of x0 given x_t, or a guess at it."""

    def _solve(self, at: Linearised, spread: Callable[[Array], Array]) -> Solved:
        """Return V^-1 (y - A D) with V = R + A C A^T, C applied by `spread`."""

        def covariance(u: Values) -> Values:
            through = at.measure(spread(at.backproject(u)))
            return tuple(r + a for r, a in zip(at.noise(u), through, strict=True))

        width, parts = jnp.mean(self._width(at)), zip(at.problem.measurements, at.mean_squares(), strict=True)
        inverses = [part.noise.inverse(part.observed, width * mean) for part, mean in parts]
        precondition = lambda u: tuple(inverse(v) for inverse, v in zip(inverses, u, strict=True))  # noqa: E731
        return solve(covariance, at.residuals, self.iterations, self.tolerance, precondition)


@dataclass(frozen=True)
class PiGDM(_Gain):
    """C = r^2 I with r^2 = sigma^2 v / (sigma^2 + alpha^2 v), D shifted by (sigma^2 / alpha) J^T A^T V^-1 (y - A D).

    (Song et al. 2023, pseudoinverse-guided diffusion, there v = 1.) Exact for white Gaussian data of variance v, the
    `data_variance`. Raises `InputError` unless it is positive.
    """

    data_variance: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not holds(lambda variance: 0 < variance < float("inf"), self.data_variance):
            raise InputError(f"{self}: expected data_variance > 0, in squared units of x0")

    def correct(self, at: Linearised) -> Corrected:
        """Return the shifted estimate."""
        weighted, unsolved = self._white(at)
        return Corrected(at.x0 + at.shift * at.pull(at.backproject(weighted)), unsolved)

    def _width(self, at: Linearised) -> Array:
        square = jnp.square(at.deviation)
        return square * self.data_variance / (square + self.data_variance)

    def _white(self, at: Linearised) -> Solved:
        """Return V^-1 (y - A D) of C = r^2 I."""
        return self._solve(at, lambda v: self._width(at) * v)


@dataclass(frozen=True)
class MomentMatching(PiGDM):
    """C = (sigma^2 / alpha) J^T, the covariance of x0 given x_t by Tweedie's second formula: D + C A^T V^-1 (y - A D).

    Exact for Gaussian data (Boys et al. 2024, TMPD; Rozet et al. 2024, MMPS), whatever the sampler. An iteration takes
    a backward evaluation of the denoiser, and there are as many as the tolerance takes: with fewer `iterations` than
    that the posterior is another one, biased. Where a network's J is no covariance, as it is at high noise, which
    enlarges its errors by sigma^2 / alpha, the system has no solution to be found: where more than `TRUSTED` of the
    residual is left, or r^T V^-1 r < 0, V is PiGDM's. It counts as unsolved.
    """

    least_churn: ClassVar[float] = 0.0

    def correct(self, at: Linearised) -> Corrected:
        """Return Kalman's update of the estimate."""
        spread = lambda v: at.shift * at.pull(v)  # noqa: E731
        weighted, unsolved = self._solve(at, spread)
        square = sum((jnp.vdot(r, u) for r, u in zip(at.residuals, weighted, strict=True)), start=jnp.zeros(()))
        unsolved = jnp.where(square < 0, 1.0, unsolved)
        weighted = jax.tree.map(partial(jnp.where, unsolved < TRUSTED), weighted, self._white(at).value)
        return Corrected(at.x0 + spread(at.backproject(weighted)), unsolved)


@dataclass(frozen=True)
class DiffPIR(_Gain):
    """The x0 nearest to y and D: argmin |y - A x0|^2_R + |x0 - D|^2 / r^2, r = sigma / alpha / sqrt(trust).

    That is D + r^2 A^T (R + r^2 A A^T)^-1 (y - A D): no derivative of the denoiser, one evaluation (Zhu et al. 2023,
    DiffPIR, eq. 10; lambda there is `trust`). C is taken to be r^2 I, that of data much wider than the noise: a good
    estimate, whose spread is not the posterior's where data are narrower. Raises `InputError` unless trust > 0.
    """

    trust: float = 1.0
    least_churn: ClassVar[float] = math.inf

    def __post_init__(self):
        super().__post_init__()
        if not holds(lambda trust: 0 < trust < float("inf"), self.trust):
            raise InputError(f"{self}: expected trust > 0")

    def _width(self, at: Linearised) -> Array:
        return jnp.square(at.deviation) / self.trust

    def correct(self, at: Linearised) -> Corrected:
        """Return the proximal point."""
        spread = lambda v: self._width(at) * v  # noqa: E731
        weighted, unsolved = self._solve(at, spread)
        return Corrected(at.x0 + spread(at.backproject(weighted)), unsolved)
