"""The neutral predictor and the neutral corrector."""

from dataclasses import dataclass
from typing import Any

from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class Identity(FixedGridSolver):
    """x_s = x, without a denoiser call: with a corrector, Langevin dynamics annealed along the grid.

    `PredictorCorrector(Identity(), Langevin(), corrector_first=False)` is the sampler of Song & Ermon 2019, algorithm
    1: Langevin steps at every time of the grid in turn, the end included and the start left out. Alone it converges
    to nothing: order 0.
    """

    @property
    def convergence_order(self) -> float:
        """0."""
        return 0.0

    @property
    def draws_noise(self) -> bool:
        """No."""
        return False

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Return x as it is."""
        return Step(x, x, 0), state


@dataclass(frozen=True)
class NoCorrection:
    """x as it is, without a denoiser call: the predictor alone."""

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
        """Return x as it is."""
        return Step(x, x, 0)
