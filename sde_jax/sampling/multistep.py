"""Exponential multistep samplers: DPM-Solver++, SDE-DPM-Solver++, UniPC, SA-Solver."""

from dataclasses import dataclass, field

import jax.numpy as jnp

from sde_jax.errors import InputError, whole
from sde_jax.prediction import Estimates
from sde_jax.reverse import check_churn
from sde_jax.sampling.ends import check_upwards
from sde_jax.sampling.history import History, Multistep
from sde_jax.sampling.kernel import exponential_weights, refresh
from sde_jax.sampling.singlestep import check_order
from sde_jax.sampling.solver import Step, draws_noise
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Key, Time


@dataclass(frozen=True)
class ExponentialMultistep(Multistep):
    """The step of `kernel.py` through the denoiser's last `order` values.

    With a corrector, the value at the end of a step, once it is known, is taken as one node more and the step is made
    again: x moves by alpha (sum of the corrected - sum of the predicted weights times values), which costs no
    evaluation, since that value serves the next step too (Zhao et al. 2023, UniC). Steps over which lambda is
    infinite have order 1.
    """

    churn: float = 0.0
    lower_order_final: bool = field(default=True, kw_only=True)

    def __post_init__(self):
        check_order(self, self.order, 3)
        check_churn(self, self.churn)

    @property
    def corrector_order(self) -> int:
        """The number of values through which a step is corrected; 0 without a corrector."""
        return 0

    @property
    def convergence_order(self) -> float:
        """That of the corrector or the predictor; at most 2 with noise (its weak order) or a last step of order one.

        And where a step of order one starts at most 2, 3 if it is corrected.
        """
        order = max(self.order, self.corrector_order)
        if not self.starter:
            order = min(order, 3 if self.corrector_order else 2)
        return float(min(order, 2) if draws_noise(self) or self.lower_order_final else order)

    @property
    def draws_noise(self) -> bool:
        """Where churn is not 0."""
        return self.churn != 0

    def taken(self, moments: list[Array]) -> list[Array]:
        """Return the moments by which a step through so many values is made: the exact ones."""
        return moments

    @property
    def starts(self) -> int:
        """One less where the first steps are corrected."""
        return max(0, super().starts - (self.corrector_order > 0))

    @property
    def remembered(self) -> int:
        """What predictor and corrector need."""
        return max(self.order, self.corrector_order - 1)

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse to carry x up to noise alone."""
        check_upwards(self, sde, grid)

    def observe(self, x: Array, t: Time, history: History, now: Estimates, sde: GaussianPath) -> tuple[Array, History]:
        """Correct the step that led to t, unless it was one of Runge-Kutta's or order 1 for want of values."""
        extended = history.extended(t, now.clean, jnp.all(jnp.isfinite(sde.log_snr(t))))
        if not self.corrector_order:
            return x, extended
        nodes = [history.times[0], t, *history.times[1:]][: self.corrector_order]
        values = [history.estimates[0], now.clean, *history.estimates[1:]]
        weights = exponential_weights(sde, nodes[0], t, nodes, self.churn, history.known + 1, self.taken)
        corrected = sum(w * value for w, value in zip(weights, values, strict=False))
        correction = sde.alpha(t) * (corrected - history.predicted)
        return x + jnp.where(history.known > self.starts, correction, 0.0), extended

    def advance(
        self, key: Key, x: Array, t: Time, s: Time, history: History, now: Estimates, sde: GaussianPath
    ) -> tuple[Step, History]:
        """Carry x from t to s; where lambda_t is infinite the history is empty, and the value at t alone counts."""
        nodes, values = list(history.times[: self.order]), history.estimates
        weights = exponential_weights(sde, t, s, nodes, self.churn, history.usable(t, s), self.taken)
        predicted = jnp.asarray(sum(w * value for w, value in zip(weights, values, strict=False)))
        keep, spread = refresh(sde, t, s, self.churn)
        mean = keep * x + sde.alpha(s) * predicted
        noisy = mean + spread * sde.noise(key, x.shape, x.dtype) if draws_noise(self) else mean
        return Step(noisy, mean), history._replace(predicted=predicted)


@dataclass(frozen=True)
class DPMSolverMultistep(ExponentialMultistep):
    """DPM-Solver++(1M, 2M, 3M) (Lu et al. 2022), with churn = 1 SDE-DPM-Solver++, with an offset MRS (Li et al. 2025).

    The formulas as they are spread: half a step for the first moment of two values, which keeps order 2, and half of
    the curvature of three, which lowers order 3 to 2 and errs less in few steps. Without `published` the exact
    integral of the interpolating polynomial. Raises `InputError` unless order is 1, 2 or 3.
    """

    published: bool = True

    @property
    def convergence_order(self) -> float:
        """At most 2 as published."""
        return min(super().convergence_order, 2.0) if self.published else super().convergence_order

    def taken(self, moments: list[Array]) -> list[Array]:
        """Return (m_0, m_1, m_2), as published (m_0, m_0 / 2) and (m_0, m_1, m_2 / 2)."""
        if not self.published or len(moments) == 1:
            return moments
        return [moments[0], moments[0] / 2] if len(moments) == 2 else [*moments[:2], moments[2] / 2]


@dataclass(frozen=True)
class UniPC(ExponentialMultistep):
    """UniPC (Zhao et al. 2023): `order` values predict, order + 1 correct.

    The first moment of two values is half a step, as in its variant B_2(h), which keeps the order and errs less in few
    steps; without `published` it has the exact weight of its polynomial. With a `starter` and no lower order at the
    end it has order `order` + 1 on the probability-flow ODE. Raises `InputError` unless order is 1, 2 or 3.
    """

    published: bool = True

    @property
    def corrector_order(self) -> int:
        """One more than the predictor's."""
        return self.order + 1

    def taken(self, moments: list[Array]) -> list[Array]:
        """Return the moments, as published (m_0, m_0 / 2) of two values."""
        return [moments[0], moments[0] / 2] if self.published and len(moments) == 2 else moments


@dataclass(frozen=True)
class SASolver(ExponentialMultistep):
    """SA-Solver (Xue et al. 2023): stochastic Adams, with its constant tau = churn; `correctors` values correct.

    Weak order 2 where churn > 0. correctors = 0 leaves the corrector out. Raises `InputError` unless order is 1, 2
    or 3 and correctors 0, 2, 3 or 4.
    """

    order: int = 3
    churn: float = 1.0
    correctors: int = 4

    def __post_init__(self):
        super().__post_init__()
        if not whole(self.correctors, 0, 4) or self.correctors == 1:
            raise InputError(f"{self}: expected correctors = 0, 2, 3 or 4")

    @property
    def corrector_order(self) -> int:
        """The number of values that correct."""
        return self.correctors
