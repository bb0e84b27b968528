"""Heun's method on the probability-flow ODE."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sde_jax.reverse import reverse
from sde_jax.sampling.ends import check_velocity
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class Heun(FixedGridSolver):
    """y = x + (s - t) v(x, t),  x_s = x + (s - t)/2 (v(x, t) + v(y, s)), v the velocity of the probability flow.

    Order 2 in t, two evaluations a step (Karras et al. 2022, algorithm 1, in t and x as they are). To an s at which
    v is not there, because sigma is 0 or changes infinitely fast, x_s = y: Euler's step, one evaluation.
    """

    @property
    def convergence_order(self) -> float:
        """2."""
        return 2.0

    @property
    def draws_noise(self) -> bool:
        """No."""
        return False

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse a start where the velocity is not finite."""
        check_velocity(self, sde, grid[0])

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s; `key` is not used."""
        velocity = reverse(sde, denoise, churn=0.0).drift
        slope = velocity(x, t)
        euler = x + (s - t) * slope

        def corrected() -> tuple[Array, Array]:
            return x + 0.5 * (s - t) * (slope + velocity(euler, s)), jnp.full((), 2)

        regular = jnp.all(sde.variance(s) > 0) & jnp.all(jnp.isfinite(jnp.hstack(sde.speeds(s))))
        # s is not batched where `sample` lifts, so that this stays a branch and nothing is computed in vain
        y, evaluations = jax.lax.cond(regular, corrected, lambda: (euler, jnp.full((), 1)))
        return Step(y, y, evaluations), state
