"""The reverse diffusion sampler."""

from dataclasses import dataclass, field
from typing import Any

from sde_jax.errors import takes_components
from sde_jax.prediction import score_of
from sde_jax.reverse import check_churn
from sde_jax.sampling.discretization import Discretization, ExactTransition
from sde_jax.sampling.loop import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
@dataclass(frozen=True)
class ReverseDiffusion(FixedGridSolver):
    """x_s = (2 - a) x + (1 + churn^2)/2 q^2 score(x, t) + churn q z, where x_t | x_s ~ N(a x_s, q^2 I).

    A step of the forward chain, reversed with the coefficients that it has forwards (Song et al. 2021, eq. 46): by
    default the exact transition from s to t. Weak order 1 with that one. Raises `InputError` unless
    churn >= 0.
    """

    churn: float = 1.0
    discretization: Discretization = field(default_factory=ExactTransition)

    def __post_init__(self):
        check_churn(self, self.churn)

    @property
    def draws_noise(self) -> bool:
        """Where churn is not 0."""
        return self.churn != 0

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        a, q = self.discretization.link(sde, t, s)
        mean = (2 - a) * x + 0.5 * (1 + self.churn**2) * q**2 * score_of(denoise, sde)(x, t)
        z = sde.noise(key, x.shape, x.dtype)
        return Step(mean + self.churn * q * z, mean), state
