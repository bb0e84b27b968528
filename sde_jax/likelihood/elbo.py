"""The variational lower bound."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.checks import finite, require
from sde_jax.errors import InputError, takes_components, whole
from sde_jax.prediction import check_single, clean_error, estimates_of, require_score
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath, last_time, log_snr_range, state_of
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class Bound(NamedTuple):
    """The variational bound of one example, in nats.

    value: the estimate, volume + reconstruction - prior - diffusion; standard_error: of its diffusion part, the only
    random one; prior: the divergence of x_1 from the prior; diffusion: the denoising loss; reconstruction: the
    log-density of x_0 given x_start; evaluations: denoiser calls.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    prior: Float[Array, ""]
    diffusion: Float[Array, ""]
    reconstruction: Float[Array, ""]
    evaluations: Int[Array, ""]


@takes_components
def elbo(key: Key, sde: GaussianPath, denoise: Denoiser, data: Any, *, strata: int = 32, start: float = 1e-5) -> Bound:
    """Return an estimate of the bound of the log-density of ONE example under the reverse SDE: lift with `jax.vmap`.

    With x_0 = from_data(data) and D the denoiser's estimate of it from x_t = alpha x_0 + b + sigma eps,

        log p >= log_volume + E log p(x_0 | x_start) - KL(p(x_1 | x_0) | prior) - E int |eps - epshat|^2 dlambda,

    lambda from log_snr(1) to log_snr(start) and |eps - epshat|^2 = exp(2 lambda) |x_0 - D|^2 (Kingma et al. 2021, eq.
    11 and 17; Song, Durkan et al. 2021, theorem 3). The first divergence is that of N(alpha x_0 + b, sigma^2) at t = 1
    from N(prior_mean, prior_variance); where alpha is 0 at 1 it is taken at `last_time`, from which the model starts.
    The decoder is N((x_start - b) / alpha, sigma^2 / alpha^2), which the exact one becomes as sigma / alpha at `start`
    falls below the scale of the data. Of the exact denoiser the mean over the data is that of the flow's log-density.

    lambda is uniform, twice in each of the `strata`, whose differences give the standard error. Raises `InputError`
    unless strata >= 1 and 0 <= start < 1, and where the prior has no density; raises, when the result is computed, for
    an x_0 that is not finite, and where log_snr(start) is not.
    """
    if not whole(strata, 1) or (isinstance(start, int | float) and not 0 <= start < 1):
        raise InputError(f"elbo(strata={strata}, start={start}): expected strata >= 1 and 0 <= start < 1")
    x0 = state_of(sde, sde.from_data(data))
    require_score("elbo", denoise)
    x0 = check_single(denoise, x0, start)
    jax.eval_shape(sde.prior_log_prob, x0)
    x0 = finite(x0, "elbo: the data hold NaN or infinity: expected finite numbers")
    end, (low, high) = last_time(sde, start), log_snr_range(sde, start)
    low = require(low, jnp.isfinite(high - low), "elbo: log_snr is infinite at `start`: start inside")
    where, noise = jax.random.split(key)
    uniform = jax.random.uniform(where, (2, strata))
    times = jax.vmap(sde.time_of)((low + (high - low) * (jnp.arange(strata) + uniform) / strata).ravel())
    losses = jax.vmap(lambda key, t: _loss(key, sde, denoise, x0, t))(jax.random.split(noise, 2 * strata), times)
    one, other = losses.reshape(2, strata)
    width = (high - low) / strata
    diffusion, error = width * jnp.sum(one + other) / 2, width * jnp.sqrt(jnp.sum((one - other) ** 2)) / 2
    prior, reconstruction = _prior(sde, x0, end), _reconstruction(sde, x0, start)
    value = sde.log_volume(data) + reconstruction - prior - diffusion
    return Bound(value, error, prior, diffusion, reconstruction, jnp.asarray(2 * strata))


def _loss(key: Key, sde: GaussianPath, denoise: Denoiser, x0: Array, t: Array) -> Array:
    x, eps = sde.perturb(key, x0, t)
    # of a diagonal schedule lambda falls at speeds of their own, and `time_of` is uniform in their mean
    speed = jax.jvp(sde.log_snr, (t,), (jnp.ones_like(t),))[1]
    error = jnp.exp(sde.log_snr(t)) * clean_error(sde, estimates_of(denoise, sde)(x, t), x0, eps, t)
    return jnp.sum(speed / jnp.mean(speed) * error**2)


def _prior(sde: GaussianPath, x0: Array, end: Time) -> Array:
    shift = sde.alpha(end) * x0 + sde.offset(end) - sde.prior_mean()
    ratio = sde.variance(end) / sde.prior_variance()
    return 0.5 * jnp.sum(shift**2 / sde.prior_variance() + ratio - 1 - jnp.log(ratio))


def _reconstruction(sde: GaussianPath, x0: Array, start: Time) -> Array:
    return jnp.sum(jnp.broadcast_to(sde.log_snr(start), x0.shape) - 0.5 * jnp.log(2 * jnp.pi * jnp.e))
