"""The one rule by which a change of the score becomes a change of the denoiser."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.prediction import Estimates, Estimator, estimates_of, require_score
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Score, Time

LogProb = Callable[[Array, Time], Float[Array, ""]]
"""(x, t) -> log p_t(y | x) of something known, in nats: a float scalar of ONE x."""


def as_estimate(sde: GaussianPath, score_shift: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
    """Return (sigma^2 / alpha) ds, what x_0's estimate moves by when ds is added to the score (Tweedie's formula).

    Where alpha is 0, x says nothing of x_0, and ds of what is known of x_0 is 0: there nothing is moved.
    """
    alpha = sde.alpha(t)
    seen = alpha > 0
    return jnp.where(seen, sde.variance(t) / jnp.where(seen, alpha, 1.0), 0.0) * score_shift


def shifted(denoise: Denoiser, sde: GaussianPath, score_shift: Score) -> Denoiser:
    """Return D + (sigma^2 / alpha) ds, the denoiser of the score s + ds, with ds = `score_shift(x, t)`."""
    require_score("guidance", denoise)
    of = estimates_of(denoise, sde)
    return Estimator(lambda x, t: pushed(sde, of(x, t), score_shift(x, t), t))


def pushed(sde: GaussianPath, estimates: Estimates, score_shift: Float[Array, "..."], t: Time) -> Estimates:
    """Return the estimates once ds is added to the score: the noise, -sigma score, moves by -sigma ds."""
    clean, noise = estimates
    return Estimates(clean + as_estimate(sde, score_shift, t), noise - sde.sigma(t) * score_shift)


def gradient(function: Callable[[Array], Array], x: Float[Array, "..."], name: str) -> Float[Array, "..."]:
    """Return the gradient of a float scalar of one x; raise `InputError`, naming it, where it is none."""
    found = jax.eval_shape(function, x)
    if not isinstance(found, jax.ShapeDtypeStruct) or found.shape or not jnp.issubdtype(found.dtype, jnp.floating):
        raise InputError(
            f"{name} of an x of shape {jnp.shape(x)} is {found}: expected one real number, a float of shape (); of one "
            "x, not of a batch, which jax.vmap lifts"
        )
    return jax.grad(function)(x)
