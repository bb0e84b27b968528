"""One-step samplers that refresh the noise: DDIM, ancestral sampling, multistep consistency."""

import abc
import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.prediction import estimates_of
from sde_jax.pytree import holds, known
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class Refresh(FixedGridSolver):
    """x_s = alpha_s x0hat + sigma_s (rho eps_hat + sqrt(1 - rho^2) z), x = alpha_t x0hat + sigma_t eps_hat.

    The clean estimate is taken for x_0, and a part of the noise that it implies for new noise: how large a part is
    all that distinguishes these samplers. Finite at both ends, even where alpha_t or sigma_s is 0.
    """

    @abc.abstractmethod
    def kept(self, h: Array) -> tuple[Array, Array]:
        """Return (rho, sqrt(1 - rho^2)) for a step of h > 0, possibly infinite, in lambda = log(alpha / sigma)."""

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        (x0, eps), sigma_s = estimates_of(denoise, sde)(x, t), sde.sigma(s)
        rho, renewed = self.kept(sde.log_snr(s) - sde.log_snr(t))
        mean = sde.alpha(s) * x0 + sigma_s * rho * eps
        return Step(mean + sigma_s * renewed * sde.noise(key, x.shape, x.dtype), mean), state


@dataclass(frozen=True)
class DDIM(Refresh):
    """rho^2 = 1 - eta^2 (1 - e^(-2h)) (Song, Meng & Ermon 2021, eq. 12 and 16).

    eta = 0 is the exponential Euler method, order 1, on the probability-flow ODE, and on RectifiedFlow and EDMPath
    Euler's method itself; eta = 1 is ancestral sampling. Weak order 1. Raises `InputError` unless 0 <= eta <= 1.
    """

    eta: float = 0.0

    def __post_init__(self):
        if not holds(lambda eta: (eta >= 0) & (eta <= 1), self.eta):
            raise InputError(f"{self}: expected 0 <= eta <= 1")

    @property
    def draws_noise(self) -> bool:
        """Where eta is not 0."""
        return self.eta != 0

    @property
    def effective_churn(self) -> float:
        """Eta: of the reverse process in the limit of short steps."""
        return float(self.eta)

    def kept(self, h: Array) -> tuple[Array, Array]:
        """Return (rho, sqrt(1 - rho^2))."""
        if known(self.eta) and self.eta == 0:
            return jnp.ones_like(h), jnp.zeros_like(h)  # also up to noise alone, where h is -infinity
        renewed = -(self.eta**2) * jnp.expm1(-2 * h)
        return jnp.sqrt(1 - renewed), jnp.sqrt(renewed)


@dataclass(frozen=True)
class Ancestral(Refresh):
    """rho = e^(-h): a draw from the posterior of x_s given x_t and x_0 = x0hat.

    DDPM's sampler on VP (Ho et al. 2020, eq. 7 and algorithm 2), SMLD's on VE (Song et al. 2021, appendix F), the
    posterior sampler of IR-SDE on MeanReverting (Luo et al. 2023). Weak order 1; exact where x_0 is known.
    """

    def kept(self, h: Array) -> tuple[Array, Array]:
        """Return (rho, sqrt(1 - rho^2))."""
        return jnp.exp(-h), jnp.sqrt(-jnp.expm1(-2 * h))


@dataclass(frozen=True)
class MultistepConsistency(Refresh):
    """rho = 0: jump to the clean estimate, then add fresh noise (Song et al. 2023, consistency models, algorithm 1).

    Meant for a consistency model, which maps x_t to the end of its trajectory: exact then in any number of steps.
    With an ordinary denoiser it does not converge to the data's distribution.
    """

    @property
    def convergence_order(self) -> float:
        """0: more steps with an ordinary denoiser bring nothing."""
        return 0.0

    @property
    def effective_churn(self) -> float:
        """Infinity: nothing of the old noise is kept."""
        return math.inf

    def kept(self, h: Array) -> tuple[Array, Array]:
        """Return (0, 1)."""
        return jnp.zeros_like(h), jnp.ones_like(h)
