"""Tweedie's formula, both ways."""

from sde_jax.errors import takes_components
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Score, Time


@takes_components
def score_of(denoise: Denoiser, sde: GaussianPath) -> Score:
    """Return the score grad log p_t(x) = (alpha E[x_0 | x] - (x - b)) / sigma^2 of a denoiser (Efron 2011)."""

    def score(x: Array, t: Time) -> Array:
        return (sde.alpha(t) * denoise(x, t) - (x - sde.offset(t))) / sde.variance(t)

    return score


@takes_components
def denoiser_of(score: Score, sde: GaussianPath) -> Denoiser:
    """Return the denoiser E[x_0 | x] = (x - b + sigma^2 grad log p_t(x)) / alpha of a score."""

    def denoise(x: Array, t: Time) -> Array:
        return (x - sde.offset(t) + sde.variance(t) * score(x, t)) / sde.alpha(t)

    return denoise
