"""Euler-Maruyama on the reverse SDE."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from sde_jax.pytree import known
from sde_jax.reverse import check_churn, reverse
from sde_jax.sampling.ends import check_first_step, check_velocity
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class EulerMaruyama(FixedGridSolver):
    """x_s = x + drift(x, t) (s - t) + noise(t) sqrt(t - s) z with the reverse process of `churn`.

    Weak order 1 for churn = 1, Anderson's reverse SDE; churn = 0 is Euler's method, order 1, on the
    probability-flow ODE (Song et al. 2021, section 4.1 and appendix D): from t = 1 on `RectifiedFlow` too, where on a
    uniform grid it is the sampler of flow matching. Raises `InputError` unless churn >= 0.
    """

    churn: float = 1.0

    def __post_init__(self):
        check_churn(self, self.churn)

    @property
    def draws_noise(self) -> bool:
        """Where churn is not 0."""
        return self.churn != 0

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse a start where the velocity is not finite or, with noise, where f and g^2 are infinite or nearly so."""
        check_velocity(self, sde, grid[0])
        if known(self.churn) and self.churn:
            check_first_step(self, sde, grid[0], grid[1])

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        drift, noise = reverse(sde, denoise, self.churn)
        mean = x + drift(x, t) * (s - t)
        z = sde.noise(key, x.shape, x.dtype)
        return Step(mean + noise(t) * jnp.sqrt(t - s) * z, mean), state
