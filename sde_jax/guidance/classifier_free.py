"""Guidance by the difference of two denoisers: classifier-free guidance, and autoguidance."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError, takes_components
from sde_jax.guidance.interval import Interval
from sde_jax.prediction import Estimates, Estimator, estimates_of, require_score
from sde_jax.pytree import known
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


@takes_components
def classifier_free(
    denoise: Denoiser,
    baseline: Denoiser,
    sde: GaussianPath,
    weight: float | Float[Array, ""],
    interval: Interval | None = None,
    rescale: float | Float[Array, ""] | None = None,
) -> Denoiser:
    """Return D_w = D_0 + w (D_1 - D_0), D_1 = `denoise` and D_0 = `baseline`: w = 1 is D_1, w > 1 goes beyond it.

    Classifier-free guidance (Ho & Salimans 2022, with their w + 1 for w): D_1 is told the condition, D_0 the null
    token of the same network. The weights sum to 1, so that it is the same rule for scores, noises or velocities.
    Autoguidance (Karras et al. 2024): D_1 and D_0 are told the same, and D_0 is a weaker model, smaller or trained
    less.

    interval: the noise levels sigma / alpha outside which w = 1 and, with a fixed grid, D_0 is not evaluated
    (Kynkaanniemi et al. 2024); rescale: phi of phi D_w std(D_1) / std(D_w) + (1 - phi) D_w, the deviations those of the
    numbers of one example (Lin et al. 2023, eq. 15 and 16, of x_0's estimate), against pictures of too much contrast.

    Only ever sigma, alpha and the two denoisers are asked for; whether D_w is the denoiser of any density at all is
    another question, for w != 1: sampling by it is NOT sampling from p_1^w p_0^(1 - w).

    Raises `InputError` for a weight that is not finite, phi outside [0, 1], and phi for an x of a single number.
    """
    require_score("guidance", denoise, baseline)
    if known(weight) and not math.isfinite(weight):
        raise InputError(f"weight = {weight}: expected a finite number, 1 for no guidance")
    if known(rescale) and not 0 <= rescale <= 1:  # type: ignore[operator]
        raise InputError(f"rescale = {rescale}: expected 0 <= rescale <= 1")

    pair = estimates_of(denoise, sde), estimates_of(baseline, sde)

    def estimates(x: Array, t: Time) -> Estimates:
        one, zero = (estimates(x, t) for estimates in pair)
        guided = jax.tree.map(lambda one, zero: zero + weight * (one - zero), one, zero)
        return guided if rescale is None else _rescaled(guided, one.clean, rescale, jnp.exp(sde.log_snr(t)))

    guided = Estimator(estimates)
    return guided if interval is None else interval.choose(sde, guided, denoise)


def _rescaled(guided: Estimates, given: Array, share: float | Array, snr: Array) -> Estimates:
    """Return the estimates with `share` of the clean one's deviation replaced by that of the one not guided."""
    clean, noise = guided
    if clean.size < 2:
        raise InputError(f"rescale of examples of shape {clean.shape}: expected two numbers or more, or no rescale")
    deviation = jnp.std(clean)
    flat = deviation == 0
    kept = 1 - share + share * jnp.where(flat, 1.0, jnp.std(given) / jnp.where(flat, 1.0, deviation))
    # what is taken from alpha D goes to sigma eps, snr being their ratio alpha / sigma
    return Estimates(kept * clean, noise + (1 - kept) * snr * clean)
