"""Ancestral sampling."""

from dataclasses import dataclass
from typing import Any

import jax

from sde_jax.prediction import score_of
from sde_jax.sampling.loop import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class Ancestral(FixedGridSolver):
    """x_s ~ N((x + q^2 score(x, t)) / a, (sigma_s q / sigma_t)^2 I), where x_t | x_s ~ N(a x_s, q^2 I).

    The posterior of x_s given x_t and x_0 = E[x_0 | x_t], on any path: DDPM's sampler on VP (Ho et al. 2020, eq. 7
    and algorithm 2) and SMLD's on VE (Song et al. 2021, appendix F). Weak order 1; exact where x_0 is known.
    """

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        a, q = sde.transition(s, t)
        mean = (x + q**2 * score_of(denoise, sde)(x, t)) / a
        z = jax.random.normal(key, x.shape, x.dtype)
        return Step(mean + sde.sigma(s) * q / sde.sigma(t) * z, mean), state
