"""The one adaptive ODE solve, through diffrax: probability flow and likelihood."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Int

from sde_jax.errors import InputError
from sde_jax.typing import Array, Time


@dataclass(frozen=True)
class Tolerance:
    """What an adaptive solver promises: a local error below atol + rtol |y|, within `max_steps` steps.

    Raises `InputError` unless all three are positive.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    max_steps: int = 4096

    def __post_init__(self):
        if not (self.rtol > 0 and self.atol > 0 and self.max_steps > 0):
            raise InputError(f"{self}: expected rtol > 0, atol > 0 and max_steps > 0")

    def require(self, value: Any, solution: diffrax.Solution, what: str) -> Any:
        """Return `value`; raise, when it is computed, if the solution did not reach the tolerance."""
        return eqx.error_if(
            value,
            ~diffrax.is_successful(solution.result),
            f"{what} did not reach rtol={self.rtol:g}, atol={self.atol:g} within {self.max_steps} steps: "
            "loosen the tolerance or raise max_steps",
        )


class Flow(NamedTuple):
    """The solution of an ODE: `values`, y at each of the times asked for; `evaluations` of its right-hand side.

    Every step counts six, rejected or not, and the start one; where the very first step is rejected, diffrax evaluates
    the start again, which is not counted.
    """

    values: Any
    evaluations: Int[Array, ""]


def integrate(field: Callable[[Any, Time], Any], y: Any, start: Time, times: ArrayLike, tolerance: Tolerance) -> Flow:
    """Solve dy/dt = field(y, t) from `start` to times[-1], in either direction, by Tsitouras' method of order 5.

    y: a pytree of arrays; the values have a leading axis of len(times). The step size is this y's own: under
    `jax.vmap` every example keeps its own steps. Raises, when the result is computed, where the tolerance is not
    reached.
    """
    times = jnp.asarray(times)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: field(y, jnp.asarray(t))),
        diffrax.Tsit5(),
        t0=start,
        t1=times[-1],
        dt0=None,
        y0=y,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=tolerance.rtol, atol=tolerance.atol),
        max_steps=tolerance.max_steps,
        adjoint=diffrax.ForwardMode(),
        throw=False,
    )
    values = jax.tree.map(lambda v: tolerance.require(v, solution, "the probability-flow ODE"), solution.ys)
    return Flow(values, 6 * solution.stats["num_steps"] + 1)
