"""The two estimates of x_t = alpha x_0 + b + sigma eps, and Tweedie's formula, both ways.

Either estimate tells the other, x - b = alpha E[x_0 | x] + sigma E[eps | x], but not to the same number of digits:
where sigma is small, (x - b - alpha D) / sigma has lost as many as log10(alpha / sigma). A network has told both before
anything is subtracted. So a denoiser may have a method `estimates`, (x, t) -> `Estimates`, which what is affine in
denoisers passes on; whoever needs x - b - alpha D asks `estimates_of` for sigma times the noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction.coupled import require_score
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Score, Time


@in_one_line
class Estimates(NamedTuple):
    """clean = E[x_0 | x_t] and noise = E[eps | x_t] = -sigma score, both of the shape of x."""

    clean: Array
    noise: Array


Estimating: TypeAlias = Callable[[Array, Time], Estimates]
"""(x, t) -> both estimates."""


@dataclass(frozen=True, eq=False)
class Estimator:
    """The denoiser of a function that tells both estimates."""

    estimates: Estimating

    def __call__(self, x: Array, t: Time) -> Array:
        """Return E[x_0 | x_t = x]."""
        return self.estimates(x, t).clean


def estimates_of(denoise: Denoiser, sde: GaussianPath) -> Estimating:
    """Return (x, t) -> both estimates: the denoiser's own where it has them, else by `noise_beside`.

    Raises `InputError` for what `score_of` returns.
    """
    require_no_score(denoise)

    def differences(x: Array, t: Time) -> Estimates:
        clean = denoise(x, t)
        return Estimates(clean, noise_beside(sde, clean, x, t))

    return getattr(denoise, "estimates", differences)


def noise_beside(sde: GaussianPath, clean: Array, x: Array, t: Time) -> Array:
    """Return the noise (x - b - alpha clean) / sigma that a clean estimate leaves of x."""
    return (x - sde.offset(t) - sde.alpha(t) * clean) / sde.sigma(t)


def clean_error(sde: GaussianPath, found: Estimates, x0: Array, eps: Array, t: Time) -> Array:
    """Return D - x_0 of the estimates at x_t = alpha x_0 + b + sigma eps.

    Where sigma < alpha it is (sigma / alpha) (eps - noise): the same, but D and x_0 may agree to all digits there.
    """
    clean, noise = found
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    small = (sigma > 0) & (sigma < alpha)
    return jnp.where(small, sigma / jnp.where(small, alpha, 1.0) * (eps - noise), clean - x0)


def mixed(mixture: Callable[..., Array], *denoisers: Denoiser) -> Denoiser:
    """Return the denoiser mixture(D_1, D_2, ...), affine with weights that sum to 1, and so of the noises alike."""
    if not all(hasattr(denoise, "estimates") for denoise in denoisers):
        return lambda x, t: mixture(*(denoise(x, t) for denoise in denoisers))
    each: list[Any] = list(denoisers)
    return Estimator(lambda x, t: jax.tree.map(mixture, *(denoise.estimates(x, t) for denoise in each)))


def moved(denoise: Denoiser, place: Callable[[Array, Time], tuple[Array, Time]]) -> Denoiser:
    """Return the denoiser whose estimates at (x, t) are those of another at place(x, t)."""
    if (estimates := getattr(denoise, "estimates", None)) is not None:
        return Estimator(lambda x, t: estimates(*place(x, t)))
    return lambda x, t: denoise(*place(x, t))


@dataclass(frozen=True, eq=False)
class TweedieScore:
    """The score of a denoiser; a class of its own, to be told from denoisers, which are called alike."""

    told: Estimating
    sde: GaussianPath

    def __call__(self, x: Array, t: Time) -> Array:
        """Return grad log p_t(x)."""
        return -self.told(x, t).noise / self.sde.sigma(t)


def require_no_score(denoise: Denoiser) -> None:
    """Raise `InputError` for what `score_of` returns."""
    if isinstance(denoise, TweedieScore):
        raise InputError("the denoiser is a score: expected (x, t) -> E[x_0 | x_t = x]; `denoiser_of` makes one of it")


@takes_components
def score_of(denoise: Denoiser, sde: GaussianPath) -> Score:
    """Return the score grad log p_t(x) = (alpha E[x_0 | x] - (x - b)) / sigma^2 = -E[eps | x] / sigma of a denoiser.

    (Efron 2011.) As exact as the denoiser's noise estimate. Raises `InputError` for a denoiser that is known to be a
    velocity alone (`Coupled`).
    """
    require_score("score_of", denoise)
    return TweedieScore(estimates_of(denoise, sde), sde)


@takes_components
def denoiser_of(score: Score, sde: GaussianPath) -> Denoiser:
    """Return the denoiser E[x_0 | x] = (x - b + sigma^2 grad log p_t(x)) / alpha of a score."""

    def estimates(x: Array, t: Time) -> Estimates:
        s = score(x, t)
        return Estimates((x - sde.offset(t) + sde.variance(t) * s) / sde.alpha(t), -sde.sigma(t) * s)

    return Estimator(estimates)
