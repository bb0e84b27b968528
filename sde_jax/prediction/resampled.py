"""A network trained on one path, sampled on another."""

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction.coupled import require_score
from sde_jax.prediction.tweedie import moved
from sde_jax.sde import GaussianPath
from sde_jax.sde.path import require_path
from sde_jax.typing import Array, Denoiser, Time


@takes_components
def at_equal_log_snr(denoise: Denoiser, trained: GaussianPath, sampled: GaussianPath) -> Denoiser:
    """Return the denoiser on `sampled` that `denoise` on `trained` is: (x, t) -> denoise(r (x - b(t)) + b'(u), u).

    u is the time at which `trained` has the log-SNR of `sampled` at t, and r = alpha'(u) / alpha(t), primes being
    trained's: (x_t - b) / alpha = x_0 + exp(-lambda) eps has the same law on both paths (Karras et al. 2022,
    appendix B), so that an exact denoiser stays exact, and so has eps. Where the log-SNR lies outside of what `trained`
    passes, its nearest end stands in. Raises `InputError` unless both paths have scalar schedules.
    """
    require_score("at_equal_log_snr", denoise)
    for sde in (trained, sampled):
        require_path(sde)
        shape = jax.eval_shape(sde.log_snr, 0.5).shape
        if shape:
            raise InputError(f"{type(sde).__name__}: log_snr of shape {shape}: expected a scalar schedule")

    def translated(x: Array, t: Time) -> tuple[Array, Time]:
        u = trained.time_of(sampled.log_snr(t))
        # At equal log-SNR alpha and sigma have one ratio, and so has their norm, which is 0 nowhere.
        r = jnp.hypot(trained.alpha(u), trained.sigma(u)) / jnp.hypot(sampled.alpha(t), sampled.sigma(t))
        return r * (x - sampled.offset(t)) + trained.offset(u), u

    return moved(denoise, translated)
