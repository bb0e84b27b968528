"""An inverse problem's posterior as a denoiser.

Bayes' rule for x_t: grad log p_t(x | y) = grad log p_t(x) + grad log p(y | x_t = x). The likelihood of the noisy x is
taken to be a Gaussian around what the clean estimate D would measure,

    p(y | x_t) = N(A D(x, t), V_t),        grad log p(y | x_t) = J^T A^T V_t^-1 (y - A D),    J = dD/dx,

with V_t held fixed in the gradient; what is not linear is linearised at D. Adding ds to the score adds
(sigma^2 / alpha) ds to the denoiser, so that the posterior is a denoiser again, which every sampler takes. The methods
are choices of V_t.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import takes_components
from sde_jax.guidance.shift import as_estimate
from sde_jax.measurement import Measurement, Measurements, sources
from sde_jax.prediction import check_denoiser, require_score
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath, require_falling
from sde_jax.typing import Array, Denoiser, Time

FAR, OFF = 100.0, 0.5
"""How far the noise of x may be from 0, in deviations and in parts of the clean estimate."""
Values = tuple[Array, ...]
"""An array of the shape of y for every source."""


@in_one_line
@dataclass(frozen=True, eq=False)
class Problem:
    """A prior, as a path with its denoiser, and what was measured."""

    sde: GaussianPath
    denoise: Denoiser
    measurements: tuple[Measurement, ...]


@in_one_line
class Linearised(NamedTuple):
    """A problem at one (x, t).

    x0: D(x, t); residuals: y - A D, 0 where missing; measure, backproject: A and A^T, linearised at D, on what is
    observed; pull: v -> J^T v; shift: sigma^2 / alpha, of a score in units of x0; deviation: sigma / alpha, of which
    more than 10^4 is as good as infinity. Where alpha is 0, x says nothing of x0, J is 0 and nothing is shifted.
    """

    problem: Problem
    x0: Array
    residuals: Values
    measure: Callable[[Array], Values]
    backproject: Callable[[Values], Array]
    pull: Callable[[Array], Array]
    shift: Array
    deviation: Array

    def noise(self, u: Values) -> Values:
        """Return R u."""
        parts = zip(self.problem.measurements, u, strict=True)
        return tuple(part.kept(part.noise.multiply(v)) for part, v in parts)

    def mean_squares(self) -> Values:
        """Return the mean eigenvalue of A A^T of every source, tr(A A^T) over its observed entries.

        Estimated by |A^T s|^2, s of random signs, always the same ones (Hutchinson 1990).
        """
        parts, found = self.problem.measurements, []
        signs = [jax.random.rademacher(jax.random.key(0), r.shape, r.dtype) for r in self.residuals]
        signs = [part.kept(s) for part, s in zip(parts, signs, strict=True)]
        for i, part in enumerate(parts):
            alone = tuple(s if i == j else jnp.zeros_like(s) for j, s in enumerate(signs))
            square = jnp.sum(jnp.square(self.backproject(alone)))
            found.append(square / jnp.maximum(jnp.sum(part.observed), 1))
        return tuple(found)


@in_one_line
class Corrected(NamedTuple):
    """The estimate given y, and the relative residual of the linear system that it took: 0 where none was solved."""

    x0: Array
    unsolved: Float[Array, ""]


class PosteriorMethod(Protocol):
    """How D is corrected by what was measured: a choice of V_t."""

    @property
    def least_churn(self) -> float:
        """The least churn of a sampler by which the spread of samples estimates the posterior's.

        0 for a method whose V_t is that of Gaussian data: all samplers have one law then. Otherwise no law at t is
        shared by all of them, and only what churn renews near the end, where V_t comes to R, is right. Infinity for a
        method whose samples are point estimates by any sampler.
        """
        ...

    @property
    def tolerance(self) -> float:
        """The relative residual above which a linear system counts as unsolved."""
        ...

    def correct(self, at: Linearised) -> Corrected:
        """Return E[x0 | x_t = x, y], approximately."""
        ...


@in_one_line
@dataclass(frozen=True, eq=False)
class Posterior:
    """The denoiser (x, t) -> E[x0 | x_t = x, y] of a problem by a method.

    Where x or alpha times the estimate is farther from alpha D than `FAR` sigma + `OFF` alpha max(1, |D|), as no noise
    and no measurement brings about, sampling has exploded: the estimate is NaN there, and samplers raise. A sampler of
    less churn than the method's `least_churn` warns.
    """

    problem: Problem
    method: PosteriorMethod

    def __call__(self, x: Array, t: Time) -> Array:
        """Return the estimate."""
        return self.corrected(x, t).x0

    def corrected(self, x: Array, t: Time) -> Corrected:
        """Return the estimate, and how far the linear system is from being solved."""
        at, sde = linearised(self.problem, x, t), self.problem.sde
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        found = self.method.correct(at)
        reach = FAR * sigma + OFF * alpha * jnp.max(jnp.abs(at.x0), initial=1.0)
        near = [jnp.abs(v - alpha * at.x0) <= reach for v in (x - sde.offset(t), alpha * found.x0)]
        return found._replace(x0=jnp.where(jnp.all(near[0] & near[1]), found.x0, jnp.nan))

    def sampled_at(self, churn: float) -> None:
        """Warn where a sampler of this churn does not bring the posterior's spread and one of more churn would."""
        least = self.method.least_churn
        if churn < least < math.inf:
            warnings.warn(
                f"{self.method} sampled with churn {churn:.3g}: the spread is not the posterior's; take a sampler of "
                f"churn {least:.3g} or more, such as DPMSolverMultistep(churn={least:.3g}), or MomentMatching()",
                stacklevel=4,
            )


def linearised(problem: Problem, x: Array, t: Time) -> Linearised:
    """Return a problem at one (x, t), by one evaluation of its denoiser and of its operators."""
    sde, parts = problem.sde, problem.measurements
    x0, pull = jax.vjp(lambda x: problem.denoise(x, t), x)

    def observed(x0: Array) -> Values:
        return tuple(part.kept(part.operator(x0)) for part in parts)

    predicted, measure = jax.linearize(observed, x0)
    transposed = jax.linear_transpose(measure, x0)
    residuals = tuple(part.kept(jnp.asarray(part.value)) - y for part, y in zip(parts, predicted, strict=True))
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    return Linearised(
        problem,
        x0,
        residuals,
        measure,
        lambda y: transposed(y)[0],
        lambda v: pull(v)[0],
        as_estimate(sde, jnp.ones(()), t),
        sigma / jnp.maximum(alpha, 1e-4 * sigma),
    )


@takes_components
def posterior(
    denoise: Denoiser, sde: GaussianPath, measurements: Measurements, method: PosteriorMethod, shape: tuple[int, ...]
) -> Posterior:
    """Return the denoiser of the posterior given one source or several, for x0 of `shape`.

    Raises `InputError` for measurements that do not fit (`Measurement.require`), a denoiser that changes shape, and a
    path whose log-SNR does not fall.
    """
    parts = sources(measurements)
    require_falling(sde)
    check_denoiser(denoise, shape)
    require_score(f"a posterior by {type(method).__name__}", denoise)
    for part in parts:
        part.require(shape)
    return Posterior(Problem(sde, denoise, parts), method)
