"""Langevin dynamics at a fixed time: the corrector."""

import abc
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.prediction import score_of
from sde_jax.pytree import holds
from sde_jax.sampling.discretization import Discretization, ExactTransition
from sde_jax.sampling.solver import Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class LangevinDynamics(abc.ABC):
    """x <- x + e score + sqrt(2 e) z, `steps` times, with e = 2 (a snr r)^2; a new one states r, the `noise_level`.

    a is the forward chain's scale over the step of the grid at hand: 1 for VE, sqrt(1 - beta_i) for VP (Song et al.
    2021, algorithms 4 and 5, there for any path).
    Raises `InputError` unless snr > 0 and steps >= 1.
    """

    snr: float = 0.16
    steps: int = 1
    discretization: Discretization = field(default_factory=ExactTransition)

    def __post_init__(self):
        if not holds(lambda snr: 0 < snr < float("inf"), self.snr) or not whole(self.steps, 1):
            raise InputError(f"{self}: expected snr > 0 and steps >= 1, a whole number")

    @abc.abstractmethod
    def noise_level(self, z: Array, score: Array, time: Time, sde: GaussianPath) -> Array:
        """Return r, the standard deviation of the noise in x at `time`, or what stands for it."""

    def correct(
        self,
        key: Key,
        x: Array,
        time: Time,
        interval: tuple[Time, Time],
        *,
        sde: GaussianPath,
        denoise: Denoiser,
    ) -> Step:
        """Move x at a fixed `time` within the step (t, s) of the grid, towards the marginal at that time."""
        score = score_of(denoise, sde)
        a, _ = self.discretization.link(sde, *interval)

        def move(carry: Step, key: Key) -> tuple[Step, None]:
            z, direction = sde.noise(key, x.shape, x.dtype), score(carry.x, time)
            e = 2 * (a * self.snr * self.noise_level(z, direction, time, sde)) ** 2
            mean = carry.x + e * direction
            return Step(mean + jnp.sqrt(2 * e) * z, mean, carry.evaluations + 1), None

        start = Step(x, x, jnp.zeros((), int))
        return jax.lax.scan(move, start, jax.random.split(key, self.steps))[0]


@takes_components
@dataclass(frozen=True)
class Langevin(LangevinDynamics):
    """Langevin dynamics with e = 2 (a snr sigma)^2, which does not depend on x.

    The paper's signal-to-noise rule takes sqrt(n) / |score| for sigma, with norms averaged over the batch, which would
    make a sample depend on its batch. The norm of one x is no way out: a step that depends on x makes p(x) / e(x)
    stationary rather than p(x), and the variance of a Gaussian in n dimensions (n + 2) / n times too large. Since
    E |score|^2 <= n / sigma^2, with equality where data have no extent at the scale of sigma, this step is never
    longer than the paper's. It is that of annealed Langevin dynamics (Song & Ermon 2019, algorithm 1; `ald` in the
    official code).
    """

    def noise_level(self, z: Array, score: Array, time: Time, sde: GaussianPath) -> Array:
        """Return sigma at `time`."""
        return sde.sigma(time)
