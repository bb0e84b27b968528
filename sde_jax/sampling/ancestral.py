"""Ancestral sampling."""

from dataclasses import dataclass
from typing import Any

from sde_jax.sampling.loop import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class Ancestral(FixedGridSolver):
    """x_s ~ N(a (sigma_s / sigma_t)^2 x + alpha_s (q / sigma_t)^2 x0hat, (sigma_s q / sigma_t)^2 I).

    The posterior of x_s given x_t and x_0 = x0hat = E[x_0 | x_t], where x_t | x_s ~ N(a x_s, q^2 I), on any path:
    DDPM's sampler on VP (Ho et al. 2020, eq. 7 and algorithm 2) and SMLD's on VE (Song et al. 2021, appendix F). In
    this form, of mean (x + q^2 score) / a, it is finite at both ends. Weak order 1; exact where x_0 is known.
    """

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        a, q = sde.transition(s, t)
        sigma_t, sigma_s = sde.sigma(t), sde.sigma(s)
        mean = a * (sigma_s / sigma_t) ** 2 * x + sde.alpha(s) * (q / sigma_t) ** 2 * denoise(x, t)
        z = sde.noise(key, x.shape, x.dtype)
        return Step(mean + sigma_s * q / sigma_t * z, mean), state
