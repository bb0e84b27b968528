"""The one adaptive ODE solve: probability flow and likelihood."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Int

from sde_jax.errors import InputError
from sde_jax.ode.finite import finite
from sde_jax.ode.methods import Method, Tsit5, evaluations
from sde_jax.ode.tolerance import Tolerance
from sde_jax.pytree import in_one_line, known
from sde_jax.typing import Array, Time


@in_one_line
class Flow(NamedTuple):
    """The solution of an ODE: `values`, y at each of the times asked for; `evaluations` of its right-hand side."""

    values: Any
    evaluations: Int[Array, ""]


def integrate(
    field: Callable[[Any, Time], Any],
    y: Any,
    start: Time,
    times: ArrayLike,
    tolerance: Tolerance,
    method: Method | None = None,
    *,
    differentiable: bool = False,
    first: Any = None,
) -> Flow:
    """Solve dy/dt = field(y, t) from `start` to times[-1], in either direction, by `method` (`Tsit5()` by default).

    y: a pytree of arrays; the values have a leading axis of len(times). The step size is this y's own: under
    `jax.vmap` every example keeps its own steps. Derivatives are forward only unless `differentiable`, which keeps
    checkpoints for those in reverse; first: field(y, start) where it is known, which counts as evaluated. Raises
    `InputError` for a start outside [0, 1], a tolerance that y's numbers do not resolve and a scheme that is not an
    explicit Runge-Kutta method; raises, when computed, for a y not finite and where the tolerance is not reached.
    """
    y, method = check_problem(y, start, tolerance), Tsit5() if method is None else method
    scheme, times = check_explicit(method), jnp.asarray(times)
    (before, each), given = evaluations(scheme), first is not None
    term = diffrax.ODETerm(lambda t, y, args: field(y, jnp.asarray(t)))
    solution = diffrax.diffeqsolve(
        term,
        scheme,
        t0=start,
        t1=times[-1],
        dt0=None,
        y0=y,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=method.controller(tolerance),
        # The start is evaluated here, once: diffrax does it again for every first step that is rejected.
        solver_state=(jnp.array(False), first if given else term.vf(start, y, None)) if before else None,
        max_steps=tolerance.max_steps,
        adjoint=diffrax.RecursiveCheckpointAdjoint() if differentiable else diffrax.ForwardMode(),
        throw=False,
    )
    values = jax.tree.map(lambda v: tolerance.require(v, solution, "the probability-flow ODE"), solution.ys)
    return Flow(values, max(before, given) + each * solution.stats["num_steps"])


def check_start(start: Time) -> None:
    """Raise `InputError` unless `start`, where it can be looked at, is a time in [0, 1)."""
    if not isinstance(start, jax.Array | np.generic) and not (known(start) and 0 <= start < 1):
        raise InputError(f"start = {start!r}: expected a time in [0, 1)")


def check_problem(y: Any, start: Time, tolerance: Tolerance) -> Any:
    """Return y; raise as `integrate` does for a start outside [0, 1], a tolerance too fine, and a y not finite."""
    if isinstance(start, int | float) and not 0 <= start <= 1:
        raise InputError(f"start = {start}: expected a time in [0, 1]")
    tolerance.check_resolution(y)
    return jax.tree.map(lambda v: finite(v, "the start of a flow holds NaN or infinity: expected finite numbers"), y)


def check_explicit(method: Method) -> diffrax.AbstractSolver:
    """Return a method's scheme; raise `InputError` unless it is an explicit Runge-Kutta method for ODEs."""
    scheme = method.scheme()
    if not isinstance(scheme, diffrax.AbstractERK | diffrax.Euler):
        raise InputError(f"{scheme}: expected an explicit Runge-Kutta method for an ODE, such as Tsit5 or Dopri8")
    return scheme
