"""The noise levels at which a guide acts."""

import math

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.prediction import Estimates, Estimator, estimates_of
from sde_jax.pytree import component, known
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


@component
class Interval:
    """low < sigma / alpha <= high, by default every noise level (Kynkaanniemi et al. 2024, on EDM's path, alpha = 1).

    Of a diagonal schedule the mean log-SNR is meant. Raises `InputError` unless 0 <= low < high.
    """

    low: float = 0.0
    high: float = math.inf

    def __post_init__(self):
        if known(self.low, self.high) and not 0 <= self.low < self.high:
            raise InputError(f"{self}: expected noise levels sigma / alpha with 0 <= low < high")

    def holds(self, sde: GaussianPath, t: Time) -> Array:
        """Return whether the noise level of time t is within."""
        level = jnp.exp(-jnp.mean(sde.log_snr(t)))
        return (self.low < level) & (level <= self.high)

    def choose(self, sde: GaussianPath, inside: Denoiser, outside: Denoiser) -> Denoiser:
        """Return the denoiser that is `inside` within and `outside` without.

        One of the two is evaluated where t is the same for all samples, as with a fixed grid.
        """

        within, without = estimates_of(inside, sde), estimates_of(outside, sde)

        def estimates(x: Array, t: Time) -> Estimates:
            return jax.lax.cond(self.holds(sde, t), lambda x: within(x, t), lambda x: without(x, t), x)

        return Estimator(estimates)
