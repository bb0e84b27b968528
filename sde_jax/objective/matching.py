"""Denoising score matching: the one loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.objective.weighting import Weighting
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


def denoising_score_matching(
    key: Key, sde: GaussianPath, denoise: Denoiser, x0: Float[Array, "..."], t: Time, weighting: Weighting
) -> Float[Array, ""]:
    """Return w(t) mean |x0hat(x_t, t) - x0|^2 of one example at time t, averaged over its numbers.

    Its minimiser is E[x_0 | x_t] for every positive w, hence the score (Vincent 2011; Song et al. 2021, eq. 7); the
    error of epsilon is (alpha / sigma)^2 times, and of the score (alpha / sigma^2)^2 times, that of x0.
    """
    x, _ = sde.perturb(key, x0, t)
    return weighting.weight(sde, t) * jnp.mean(jnp.square(denoise(x, t) - x0))


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
