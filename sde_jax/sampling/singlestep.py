"""Exponential Runge-Kutta samplers: DPM-Solver++ single-step."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, whole
from sde_jax.sampling.ends import check_upwards
from sde_jax.sampling.kernel import exponential_weights, refresh
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


def check_order(solver: FixedGridSolver, order: int, highest: int) -> None:
    """Raise `InputError` unless order is a whole number from 1 to `highest`."""
    if not whole(order, 1, highest):
        raise InputError(f"{solver}: order {order} does not exist here: expected 1 to {highest}")


def runge_kutta(x: Array, t: Time, s: Time, x0: Array, order: int, *, sde: GaussianPath, denoise: Denoiser) -> Array:
    """Carry x from t, where the denoiser's value is x0, to s by `order` - 1 further evaluations, lambda finite.

    Every stage is the step of `kernel.py` through all values before it, at nodes 0, 1/order, 2/order, ... in lambda.
    """
    start, end = jnp.mean(sde.log_snr(t)), jnp.mean(sde.log_snr(s))
    times, values = [t], [x0]

    def advance(target: Time) -> Array:
        weights = exponential_weights(sde, t, target, times, 0.0, len(times))
        keep, _ = refresh(sde, t, target, 0.0)
        return keep * x + sde.alpha(target) * sum(w * value for w, value in zip(weights, values, strict=True))

    for n in range(1, order):
        inner = sde.time_of(start + n / order * (end - start))
        value = denoise(advance(inner), inner)
        times, values = [*times, inner], [*values, value]
    return advance(s)


@dataclass(frozen=True)
class DPMSolverSinglestep(FixedGridSolver):
    """DPM-Solver++(1S, 2S, 3S) (Lu et al. 2022): `order` evaluations a step, at equal distances in lambda.

    A step over which lambda is infinite, because alpha_t or sigma_s is 0, is made with the first value alone. Raises
    `InputError` unless order is 1, 2 or 3.
    """

    order: int = 2

    def __post_init__(self):
        check_order(self, self.order, 3)

    @property
    def convergence_order(self) -> float:
        """The order."""
        return float(self.order)

    @property
    def draws_noise(self) -> bool:
        """No."""
        return False

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse to carry x up to noise alone."""
        check_upwards(self, sde, grid)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        x0 = denoise(x, t)

        def carry(order: int) -> Step:
            arrived = runge_kutta(x, t, s, x0, order, sde=sde, denoise=denoise)
            return Step(arrived, arrived, jnp.asarray(order))

        finite = jnp.all(jnp.isfinite(sde.log_snr(s) - sde.log_snr(t)))
        return jax.lax.cond(finite, lambda: carry(self.order), lambda: carry(1)), state
