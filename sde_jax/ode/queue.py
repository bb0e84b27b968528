"""Many adaptive solves in one program, none of which waits for another.

Under `jax.vmap` an adaptive solve lasts as long as its slowest example, and the steps of the others are thrown away
meanwhile. Here `lanes` examples are solved at once, and one that has arrived gives its lane to the next in line, so
that work is lost at the end alone. Every example keeps its own steps: which others there are changes none of its bits.
"""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int

from sde_jax.errors import InputError, whole
from sde_jax.ode.flow import Flow, check_explicit, check_problem
from sde_jax.ode.methods import Method, Tsit5, evaluations
from sde_jax.ode.tolerance import Tolerance
from sde_jax.typing import Array, Time


class Lane(NamedTuple):
    """One solve under way: y at t, the end of its next step, what scheme and controller remember, and steps made."""

    t: Array
    until: Array
    y: Any
    stage: Any
    memory: Any
    steps: Int[Array, ""]


class Stepper(NamedTuple):
    """The adaptive steps of diffrax from `start` to `end` > start, one at a time."""

    field: Callable[[Any, Any, Time], Any]
    scheme: diffrax.AbstractSolver
    controller: Any
    start: Array
    end: Array
    most: int

    def _term(self) -> diffrax.ODETerm:
        return diffrax.ODETerm(lambda t, y, args: self.field(args, y, jnp.asarray(t)))

    def begin(self, args: Any, y: Any, first: Any) -> Lane:
        """Return the solve of y before its first step; first: field(args, y, start)."""
        term, scheme = self._term(), self.scheme
        order = scheme.error_order(term)
        # Given no term, a controller evaluates none, and begins as it does inside of `diffrax.diffeqsolve`.
        until, memory = self.controller.init(None, self.start, self.end, y, None, args, scheme.func, order)
        until = jnp.minimum(until, self.end)
        fsal, _ = evaluations(scheme)
        stage = (jnp.array(False), first) if fsal else scheme.init(term, self.start, until, y, args)
        return jax.tree.map(jnp.asarray, Lane(self.start, until, y, stage, memory, jnp.zeros((), int)))

    def advance(self, args: Any, lane: Lane) -> Lane:
        """Return a solve after one step more, accepted or not."""
        term, scheme = self._term(), self.scheme
        y, error, _, stage, _ = scheme.step(term, lane.t, lane.until, lane.y, args, lane.stage, False)
        error = jax.tree.map(lambda e: jnp.where(jnp.isnan(e), jnp.inf, e), error)
        order = scheme.error_order(term)
        kept, t, until, _, memory, _ = self.controller.adapt_step_size(
            lane.t, lane.until, lane.y, y, args, error, order, lane.memory
        )
        y, stage = _where(kept, (y, stage), (lane.y, lane.stage))
        t = jnp.minimum(t, self.end)
        # A step that all but arrives would leave one of a few rounding errors.
        close = until > self.end - 100 * jnp.finfo(self.end.dtype).eps * jnp.abs(self.end)
        until = jnp.where(close, jnp.where(kept, self.end, t + 0.5 * (self.end - t)), until)
        return Lane(t, until, y, stage, memory, lane.steps + 1)

    def over(self, lane: Lane) -> Bool[Array, ""]:
        """Return whether a solve has arrived, or has made all the steps it may."""
        return (lane.t >= self.end) | (lane.steps >= self.most)


def integrate_each(
    field: Callable[[Any, Any, Time], Any],
    args: Any,
    y: Any,
    start: Time,
    end: Time,
    tolerance: Tolerance,
    method: Method | None = None,
    *,
    first: Any,
    lanes: int,
) -> Flow:
    """Solve dy/dt = field(args, y, t) from `start` to `end` > start for every row of args and y, `lanes` at a time.

    args, y, first: pytrees of arrays with a leading axis n, and so are the values and the evaluations, in that order;
    first: field at the start. The values are y(end), those of `integrate`, but no derivatives are taken through them.
    Raises as `integrate` does, and `InputError` unless lanes >= 1.
    """
    method = Tsit5() if method is None else method
    y = jax.vmap(lambda y: check_problem(y, start, tolerance))(y)
    count, dtype = len(jax.tree.leaves(y)[0]), jnp.result_type(*jax.tree.leaves(y))
    scheme, times = _unscanned(check_explicit(method)), (jnp.asarray(t, dtype) for t in (start, end))
    stepper = Stepper(field, scheme, method.controller(tolerance), *times, tolerance.max_steps)
    begun = rowwise(lambda row: stepper.begin(*row), (args, y, first), lanes)
    ended = _drained(stepper, args, begun, min(lanes, count))

    def read(value: Any, t: Array) -> Any:
        failed = diffrax.RESULTS.max_steps_reached
        result = diffrax.RESULTS.where(t >= stepper.end, diffrax.RESULTS.successful, failed)
        return tolerance.require(value, SimpleNamespace(result=result), "the probability-flow ODE")

    values = jax.tree.map(lambda value: jax.vmap(read)(value, ended.t), ended.y)
    return Flow(values, 1 + evaluations(scheme)[1] * ended.steps)


class Ended(NamedTuple):
    """What is kept of every solve [n]."""

    t: Array
    y: Any
    steps: Int[Array, " n"]


def _drained(stepper: Stepper, args: Any, begun: Lane, lanes: int) -> Ended:
    """Return where each of the solves that are begun ends; `row` is the example that a lane is at, from n on: none."""
    count = len(begun.t)
    rows = lambda tree, row: jax.tree.map(lambda a: a[jnp.minimum(row, count - 1)], tree)  # noqa: E731
    row = jnp.arange(lanes)

    def turn(queue: tuple[Array, Lane, Ended]) -> tuple[Array, Lane, Ended]:
        row, lane, ended = queue
        lane = jax.vmap(stepper.advance)(rows(args, row), lane)
        over = jax.vmap(stepper.over)(lane) & (row < count)
        return jax.lax.cond(jnp.any(over), refilled, lambda over, *queue: queue, over, row, lane, ended)

    def refilled(over: Array, row: Array, lane: Lane, ended: Ended) -> tuple[Array, Lane, Ended]:
        arrived = Ended(lane.t, lane.y, lane.steps)
        place = jnp.where(over, row, count)
        ended = jax.tree.map(lambda all_, own: all_.at[place].set(own, mode="drop"), ended, arrived)
        # Rows are given out in order, so that the next is one after the last that is in a lane.
        row = jnp.where(over, jnp.max(row) + jnp.cumsum(over), row)
        return row, _where(over, rows(begun, row), lane), ended

    first = (row, rows(begun, row), Ended(begun.t, begun.y, begun.steps))
    return jax.lax.while_loop(lambda queue: jnp.any(queue[0] < count), turn, first)[2]


def rowwise(of: Callable[[Any], Any], rows: Any, lanes: int) -> Any:
    """Return `of` of every row of a pytree [n, ...], `lanes` of them at a time.

    As many every time, the last filled up with repeated ones, so that a row's bits do not depend on n >= lanes. Raises
    `InputError` unless lanes >= 1.
    """
    if not whole(lanes, 1):
        raise InputError(f"lanes = {lanes}: expected 1 or more, a whole number")
    count = len(jax.tree.leaves(rows)[0])
    lanes = min(lanes, count)
    filled = jax.tree.map(lambda a: a[jnp.arange(-(-count // lanes) * lanes) % count], rows)
    return jax.tree.map(lambda a: a[:count], jax.lax.map(of, filled, batch_size=lanes))


def _where(which: Array, true: Any, false: Any) -> Any:
    def chosen(a: Any, b: Any) -> Array:
        return jnp.where(which.reshape(which.shape + (1,) * (jnp.ndim(a) - which.ndim)), a, b)

    return jax.tree.map(chosen, true, false)


def _unscanned(scheme: diffrax.AbstractSolver) -> diffrax.AbstractSolver:
    """Return a scheme whose stages are a loop that keeps nothing for derivatives."""
    return replace(scheme, scan_kind="lax") if hasattr(scheme, "scan_kind") else scheme
