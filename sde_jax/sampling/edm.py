"""The sampler of EDM: Heun's method in sigma / alpha, with stochastic churn."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.prediction import estimates_of
from sde_jax.pytree import holds
from sde_jax.sampling.kernel import along_noise
from sde_jax.sampling.solver import FixedGridSolver, Step, draws_noise
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class EDMHeun(FixedGridSolver):
    """Heun's method, order 2, on d(x / alpha) / d rho = eps, rho = sigma / alpha; on any path.

    Karras et al. 2022, algorithm 2. Before a step the noise may be raised from rho to (1 + gamma) rho by fresh noise
    of deviation `inflation` (S_noise): gamma = min(churn / steps, sqrt(2) - 1) where low <= rho <= high (S_churn,
    S_tmin, S_tmax), 0 elsewhere, and never past t = 1. Two evaluations a step; one where sigma_s or alpha_t is 0, a
    step of Euler's. Raises `InputError` unless churn >= 0, 0 <= low <= high and inflation > 0.
    """

    churn: float = 0.0
    low: float = 0.0
    high: float = 1e6
    inflation: float = 1.0

    def __post_init__(self):
        settings = self.churn, self.low, self.high, self.inflation
        if not holds(lambda churn, low, high, inflation: churn >= 0 and 0 <= low <= high and inflation > 0, *settings):
            raise InputError(f"{self}: expected churn >= 0, 0 <= low <= high and inflation > 0")

    @property
    def convergence_order(self) -> float:
        """2: noise is raised exactly, so churn does not lower it."""
        return 2.0

    @property
    def draws_noise(self) -> bool:
        """Where churn is not 0."""
        return self.churn != 0

    @property
    def effective_churn(self) -> float:
        """sqrt(churn / 10), as a reverse process' where the grid spans ten units of log-SNR: raising by 2 gamma = 2
        churn / steps is what churn c renews, 2 c^2 h, in a step of h = 10 / steps."""
        return math.sqrt(self.churn / 10)

    def init(self, x: Array, grid: Array) -> Array:
        """Return the number of steps."""
        return jnp.asarray(len(grid) - 1)

    def forget(self, state: Array, keep: int = 0) -> Array:
        """Return the number of steps: nothing of the way is remembered."""
        return state

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Array, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Array]:
        """Carry x from t to s."""
        if draws_noise(self):
            x, t = self.raised(key, x, t, state, sde)
        estimates = estimates_of(denoise, sde)
        x0, eps = estimates(x, t)
        euler = along_noise(sde, t, s, x0, eps, eps)

        def heun() -> Step:
            arrived = along_noise(sde, t, s, x0, eps, 0.5 * (eps + estimates(euler, s).noise))
            return Step(arrived, arrived, jnp.asarray(2))

        finite = jnp.all(jnp.isfinite(sde.log_snr(s) - sde.log_snr(t)))
        return jax.lax.cond(finite, heun, lambda: Step(euler, euler, jnp.asarray(1))), state

    def raised(self, key: Key, x: Array, t: Time, steps: Array, sde: GaussianPath) -> tuple[Array, Time]:
        """Return (x, t) with more noise."""
        log_snr = jnp.mean(sde.log_snr(t))
        rho = jnp.exp(-log_snr)
        gamma = jnp.where(
            (self.low <= rho) & (rho <= self.high), jnp.minimum(self.churn / steps, jnp.sqrt(2.0) - 1), 0.0
        )
        later = jnp.where(gamma > 0, sde.time_of(log_snr - jnp.log1p(gamma)), t)
        scale, std = sde.transition(t, later)
        z = self.inflation * sde.noise(key, x.shape, x.dtype)
        return jnp.where(later > t, scale * x + std * z, x), jnp.maximum(later, t)
