"""Denoising score matching: the one loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError, takes_components
from sde_jax.objective.reduction import Mean, Reduction
from sde_jax.objective.weighting import Weighting
from sde_jax.prediction import clean_error, estimates_of
from sde_jax.sde import GaussianPath, state_of
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
def matching_error(
    sde: GaussianPath,
    denoise: Denoiser,
    x0: Float[Array, "..."],
    eps: Float[Array, "..."],
    t: Time,
    weighting: Weighting,
    reduction: Reduction,
) -> Float[Array, ""]:
    """Return w(t) |x0hat(x_t, t) - x0|^2 at x_t = alpha x0 + b + sigma eps, the squares of all numbers reduced to one.

    The error of epsilon is alpha / sigma times, and of the score alpha / sigma^2 times, that of x0. Raises `InputError`
    for an estimate of another shape than x0's and for more than one time.
    """
    found = estimates_of(denoise, sde)(sde.mix(x0, eps, t), t)
    if jnp.shape(found.clean) != jnp.shape(x0) or jnp.ndim(t):
        raise InputError(
            f"an x0 of shape {jnp.shape(x0)} at a time of shape {jnp.shape(t)}, denoised to {jnp.shape(found.clean)}: "
            "expected one example, one time and an estimate of the example's shape; lift a batch with jax.vmap"
        )
    squares = jnp.square(clean_error(sde, found, x0, eps, t))
    weight = weighting.weight(sde, t)
    return weight * reduction.reduce(squares) if jnp.ndim(weight) == 0 else reduction.reduce(weight * squares)


@takes_components
def denoising_score_matching(
    key: Key, sde: GaussianPath, denoise: Denoiser, x0: Float[Array, "..."], t: Time, weighting: Weighting
) -> Float[Array, ""]:
    """Return the error w(t) mean |x0hat(x_t, t) - x0|^2 of one example at time t, under noise drawn from `key`.

    Its minimiser is E[x_0 | x_t] for every positive w, hence the score (Vincent 2011; Song et al. 2021, eq. 7).
    """
    x0 = state_of(sde, x0)
    return matching_error(sde, denoise, x0, sde.noise(key, x0.shape, x0.dtype), t, weighting, Mean())


@takes_components
def by_noise_level(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    x0: Float[Array, "n ..."],
    times: Float[Array, " k"],
    weighting: Weighting,
) -> Float[Array, " k"]:
    """Return the loss at each of k times, averaged over the n examples of `x0`."""

    def at(key: Key, t: Time) -> Array:
        keys = jax.random.split(key, len(x0))
        losses = jax.vmap(lambda key, x: denoising_score_matching(key, sde, denoise, x, t, weighting))(keys, x0)
        return jnp.mean(losses)

    return jax.lax.map(lambda inputs: at(*inputs), (jax.random.split(key, len(times)), times))
