"""Weights of particles and their resampling, in log space."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.checks import require
from sde_jax.typing import Array, Key


def normalized(log_weights: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return the log-weights less the logarithm of their sum, so that the weights sum to 1.

    A particle of weight 0 has log-weight -inf. Raises, when the result is computed, where a log-weight is NaN or +inf,
    and where all are -inf.
    """
    total = jax.nn.logsumexp(log_weights)
    log_weights = require(
        log_weights,
        jnp.isfinite(total),
        "the particles' log-weights hold NaN or +inf, or are all -inf: expected at least one finite, and none NaN or "
        "+inf; look at the models and the potential, or take more steps",
    )
    return log_weights - total


def effective_sample_size(log_weights: Float[Array, " n"]) -> Float[Array, ""]:
    """Return (sum w)^2 / sum w^2, from 1 (one particle has all the weight) to n (all weigh the same); Kong 1992.

    The weights need not be normalised. NaN where all are 0 or one is NaN.
    """
    return jnp.exp(2 * jax.nn.logsumexp(log_weights) - jax.nn.logsumexp(2 * log_weights))


def systematic(key: Key, log_weights: Float[Array, " n"]) -> Int[Array, " n"]:
    """Return the sorted indices of n particles drawn in proportion to their weights, which need not be normalised.

    Particle i is drawn once for each of the points (u + 0 ... n - 1) / n, u uniform, that falls into its part of the
    weights' cumulative sum: n w_i times on average, and never a whole time more or less than that (Kitagawa 1996;
    Douc, Cappe & Moulines 2005). A particle of weight 0 is never drawn.
    """
    n = len(log_weights)
    cumulative = jnp.cumsum(jax.nn.softmax(log_weights))
    points = (jax.random.uniform(key, (), cumulative.dtype) + jnp.arange(n)) / n
    # A point rounded to 1 would fall behind the last particle, or into a last one of weight 0.
    points = jnp.minimum(points, jnp.nextafter(jnp.ones((), points.dtype), 0))
    return jnp.searchsorted(cumulative / cumulative[-1], points, side="right")
