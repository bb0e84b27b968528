"""Predictor-corrector sampling."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import jax

from sde_jax.errors import InputError
from sde_jax.sampling.ends import check_noise, check_table
from sde_jax.sampling.identity import NoCorrection
from sde_jax.sampling.langevin import Langevin
from sde_jax.sampling.reverse_diffusion import ReverseDiffusion
from sde_jax.sampling.solver import MOVED, FixedGridSolver, Step, check_steps, draws_noise
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


class Corrector(Protocol):
    """A move at a fixed time that leaves the marginal there as it is."""

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

    Song et al. 2021, algorithm 1. With `corrector_first` in the order of the official code, which ends with a
    predictor; without it in the paper's own, predictor first, which ends with a corrector at the grid's end (where
    sigma is 0 there is nothing to correct: end the grid before). A predictor with a memory uses at most `MOVED` values
    from before a correction. Raises `InputError` for a predictor without steps.
    """

    predictor: FixedGridSolver = field(default_factory=ReverseDiffusion)
    corrector: Corrector = field(default_factory=Langevin)
    corrector_first: bool = True

    def __post_init__(self):
        check_steps(self, self.predictor)
        if isinstance(self.corrector, type) or not hasattr(self.corrector, "correct"):
            raise InputError(f"{self}: expected a corrector, such as Langevin(), or NoCorrection()")

    @property
    def convergence_order(self) -> float:
        """The predictor's; the corrector's bias falls with its step, not with the grid's."""
        return self.predictor.convergence_order

    @property
    def draws_noise(self) -> bool:
        """Unless there is no corrector, and the predictor does not."""
        return draws_noise(self.predictor) or not isinstance(self.corrector, NoCorrection)

    @property
    def effective_churn(self) -> float:
        """The predictor's and, as a corrector renews the noise at every time, 1 or more with one."""
        return max(self.predictor.effective_churn, float(not isinstance(self.corrector, NoCorrection)))

    def init(self, x: Array, grid: Array) -> Any:
        """Return the predictor's state."""
        return self.predictor.init(x, grid)

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse what the predictor refuses, the table of another path, and a corrector where there is no noise."""
        self.predictor.check(sde, grid)
        chain = getattr(getattr(self.corrector, "discretization", None), "chain", None)
        if chain is not None:
            check_table(self.corrector, sde, chain)
        if not self.corrector_first and not isinstance(self.corrector, NoCorrection):
            check_noise(self, sde, grid[-1])

    def forget(self, state: Any, keep: int = 0) -> Any:
        """Return the predictor's."""
        return self.predictor.forget(state, keep)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Correct at t and carry x to s, or carry x to s and correct there."""
        first, second = jax.random.split(key)

        def correct(x: Array, time: Time) -> Step:
            return self.corrector.correct(first, x, time, (t, s), sde=sde, denoise=denoise)

        if self.corrector_first:
            corrected = correct(x, t)
            state = state if corrected.x is x else self.forget(state, MOVED)
            step, state = self.predictor.step(second, corrected.x, t, s, state, sde=sde, denoise=denoise)
        else:
            predicted, state = self.predictor.step(second, x, t, s, state, sde=sde, denoise=denoise)
            corrected, step = predicted, correct(predicted.x, s)
            state = state if step.x is predicted.x else self.forget(state, MOVED)
        return step._replace(evaluations=step.evaluations + corrected.evaluations), state
