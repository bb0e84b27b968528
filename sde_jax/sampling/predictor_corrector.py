"""Predictor-corrector sampling."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import jax

from sde_jax.sampling.langevin import Langevin
from sde_jax.sampling.loop import FixedGridSolver, Step
from sde_jax.sampling.reverse_diffusion import ReverseDiffusion
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


class Corrector(Protocol):
    """A move at a fixed time that leaves the marginal there as it is."""

    @property
    def evaluations_per_step(self) -> int:
        """The number of denoiser calls in one application."""
        ...

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
        """Move x at `time`, within the step (t, s) of the grid."""
        ...


@dataclass(frozen=True)
class PredictorCorrector(FixedGridSolver):
    """A corrector at t, then a predictor from t to s, at every step: any of the one with any of the other.

    Song et al. 2021, algorithm 1, in the order of the official code (the paper's own order, predictor first, differs
    by half a step: it ends with a corrector, this ends with a predictor, whose noise-free mean can be kept).
    """

    predictor: FixedGridSolver = field(default_factory=ReverseDiffusion)
    corrector: Corrector = field(default_factory=Langevin)

    @property
    def evaluations_per_step(self) -> int:
        """The sum of the predictor's and the corrector's."""
        return self.predictor.evaluations_per_step + self.corrector.evaluations_per_step

    def init(self, x: Array) -> Any:
        """Return the predictor's state."""
        return self.predictor.init(x)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Correct at t, then carry x to s."""
        first, second = jax.random.split(key)
        x = self.corrector.correct(first, x, t, (t, s), sde=sde, denoise=denoise).x
        return self.predictor.step(second, x, t, s, state, sde=sde, denoise=denoise)
