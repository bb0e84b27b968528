"""diffrax's solve, in a program without callbacks to the host, and y at several times of one solve."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from sde_jax.typing import Array, Time


class Recorded(diffrax.AbstractWrappedSolver):
    """A scheme that keeps y at `times` [k] among its steps' ends, in the direction in which they rise.

    Its state is the scheme's and the values [k, ...]: a step that is rejected leaves no trace. `diffrax.SaveAt(ts=...)`
    would keep the same, but looks at traced times by a callback to the host.
    """

    solver: diffrax.AbstractSolver  # type: ignore[override]
    times: Array
    scan_kind: str | None = None  # of the loop over stages, which diffrax sets where derivatives are forward

    @property
    def term_structure(self):  # type: ignore[override]
        """That of the scheme."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self):  # type: ignore[override]
        """That of the scheme."""
        return self.solver.interpolation_cls

    @property
    def term_compatible_contr_kwargs(self):  # type: ignore[override]
        """That of the scheme."""
        return self.solver.term_compatible_contr_kwargs

    def order(self, terms: Any) -> int | None:
        """Return that of the scheme."""
        return self.solver.order(terms)

    def strong_order(self, terms: Any) -> Any:
        """Return that of the scheme."""
        return self.solver.strong_order(terms)

    def error_order(self, terms: Any) -> Any:
        """Return that of the scheme."""
        return self.solver.error_order(terms)

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """Evaluate the terms as the scheme does."""
        return self.solver.func(terms, t0, y0, args)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        """Return the scheme's state, and y0 for every time."""
        return self.solver.init(terms, t0, t1, y0, args), self.first(y0)

    def first(self, y0: Any) -> Any:
        """Return y0 for every time: what is kept of a time at the start."""
        return jax.tree.map(lambda v: jnp.broadcast_to(v, (len(self.times), *jnp.shape(v))), y0)

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any) -> Any:
        """Make a step of the scheme, and keep y at the times within it."""
        state, kept = solver_state
        scheme = self.solver
        if self.scan_kind is not None:
            scheme = eqx.tree_at(lambda s: s.scan_kind, scheme, self.scan_kind, is_leaf=lambda leaf: leaf is None)
        y1, error, dense, state, result = scheme.step(terms, t0, t1, y0, args, state, made_jump)
        between = self.interpolation_cls(t0=t0, t1=t1, **dense)
        found = jax.vmap(between.evaluate)(jnp.clip(self.times, t0, t1))
        within = (self.times > t0) & (self.times <= t1)
        wide = lambda v: within.reshape(-1, *[1] * (v.ndim - 1))  # noqa: E731
        kept = jax.tree.map(lambda new, old: jnp.where(wide(new), new, old), found, kept)
        return y1, error, dense, (state, kept), result


def solved(
    terms: Any,
    scheme: diffrax.AbstractSolver,
    y: Any,
    start: Time,
    times: Array,
    *,
    end: Time | None = None,
    state: Any = None,
    **settings: Any,
) -> tuple[Any, diffrax.Solution]:
    """Return y at `times` [k], of which the last is the end, and diffrax's solution, which may have failed.

    end: the last of the times, where it is known while tracing; state: the scheme's, where it is begun already;
    settings: further ones of `diffrax.diffeqsolve`.
    """
    span = {"t0": start, "t1": times[-1] if end is None else end, "y0": y, "throw": False}
    if len(times) == 1:
        saved = diffrax.SaveAt(t1=True)
        solution = diffrax.diffeqsolve(terms, scheme, saveat=saved, solver_state=state, **span, **settings)
        return solution.ys, solution
    rising = jnp.where(start < times[-1], times, -times)  # diffrax solves backwards in the negative of time
    recording = Recorded(scheme, rising)
    begun = None if state is None else (state, recording.first(y))
    saved = diffrax.SaveAt(t1=True, solver_state=True)
    solution = diffrax.diffeqsolve(terms, recording, saveat=saved, solver_state=begun, **span, **settings)
    kept: Any = solution.solver_state[1]  # type: ignore[index]
    return jax.tree.map(lambda v, last: v.at[-1].set(last[0]), kept, solution.ys), solution
