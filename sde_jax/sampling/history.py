"""What multistep samplers share: their memory, and how they start."""

import abc
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.errors import InputError
from sde_jax.prediction import Estimates, estimates_of
from sde_jax.pytree import in_one_line
from sde_jax.sampling.singlestep import runge_kutta
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class History(NamedTuple):
    """What a multistep method remembers, newest first.

    times: [p]; estimates: [p, *shape], what the method interpolates, there; known: how many of them are real;
    predicted: [*shape], the integral by which the step that led to the present time was made; ends: the last times of
    the grid, where a step may use no more values than there are steps left, otherwise None.
    """

    times: Float[Array, " p"]
    estimates: Float[Array, "p ..."]
    known: Int[Array, ""]
    predicted: Float[Array, "..."]
    ends: Float[Array, " q"] | None

    @classmethod
    def empty(cls, x: Array, start: Time, length: int, ends: Array | None) -> "History":
        """Return room for `length` values."""
        zeros = jnp.zeros((length, *x.shape), x.dtype)
        return cls(jnp.full(length, start, x.dtype), zeros, jnp.zeros((), int), jnp.zeros_like(x), ends)

    def extended(self, t: Time, estimate: Array, lasting: Array | bool) -> "History":
        """Return the history with the value at t in front; one that is not `lasting` serves no step but the next."""
        times = jnp.concatenate([jnp.asarray(t, self.times.dtype)[None], self.times[:-1]])
        estimates = jnp.concatenate([estimate[None], self.estimates[:-1]])
        known = jnp.where(lasting, self.known + 1, 0)
        return self._replace(times=times, estimates=estimates, known=known)

    def usable(self, t: Time, s: Time) -> Int[Array, ""]:
        """Return how many values the step from t to s uses, where it has room for them."""
        if self.ends is None:
            return self.known
        # by the times themselves and not by a count of steps: some wrappers go back and make steps again
        left = jnp.sum((self.ends - t) * (s - t) > 0)
        return jnp.minimum(self.known, left)


@dataclass(frozen=True)
class Multistep(FixedGridSolver):
    """A step through the last `order` values, one evaluation each; by default what errs least in 5 to 20 of them.

    The first steps have fewer values, and are made with those there are, as published. The first of all has local
    error h^2, which the whole run inherits: its order is at most 2, 3 where that step is corrected. With `starter`
    the first steps are made by a Runge-Kutta method instead, for 2 (order 3) or 4 (order 4) evaluations in all, and
    the order is kept: what many steps want and few cannot afford. With `lower_order_final` the last steps are made
    with ever fewer values, the very last with one: steps of a coarse grid are long, and extrapolating over a long one
    does harm; the order is at most 2 then, and no step is made by Runge-Kutta. Raises `InputError` where a grid has
    fewer steps than `order`.
    """

    order: int = 2
    starter: bool = False
    lower_order_final: bool = field(default=False, kw_only=True)

    @property
    def starts(self) -> int:
        """The number of steps that the Runge-Kutta method makes."""
        return max(0, int(self.convergence_order) - 2) if self.starter else 0

    @property
    def remembered(self) -> int:
        """The number of values in the history."""
        return self.order

    @abc.abstractmethod
    def observe(self, x: Array, t: Time, history: History, now: Estimates, sde: GaussianPath) -> tuple[Array, History]:
        """Return x, corrected, and the history, extended, once the estimates at t are known."""

    @abc.abstractmethod
    def advance(
        self, key: Key, x: Array, t: Time, s: Time, history: History, now: Estimates, sde: GaussianPath
    ) -> tuple[Step, History]:
        """Carry x from t to s through the values of the history."""

    def init(self, x: Array, grid: Array) -> History:
        """Return an empty history."""
        if len(grid) - 1 < self.order:
            raise InputError(
                f"{self} on a grid of {len(grid) - 1} steps: expected at least {self.order}, one for each value of its "
                "history; take more steps or a lower order"
            )
        ends = jnp.asarray(grid[-self.order :]) if self.lower_order_final else None
        return History.empty(x, grid[0], self.remembered, ends)

    def forget(self, state: History, keep: int = 0) -> History:
        """Return the history of at most `keep` values."""
        return state._replace(known=jnp.minimum(state.known, keep))

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: History, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, History]:
        """Carry x from t to s."""
        now = estimates_of(denoise, sde)(x, t)
        x, history = self.observe(x, t, state, now, sde)
        if not self.starts:
            return self.advance(key, x, t, s, history, now, sde)

        def start() -> tuple[Step, History]:
            order = int(self.convergence_order) - 1
            arrived = runge_kutta(x, t, s, now.clean, order, sde=sde, denoise=denoise)
            return Step(arrived, arrived, jnp.asarray(order)), history

        def proceed() -> tuple[Step, History]:
            step, after = self.advance(key, x, t, s, history, now, sde)
            return step._replace(evaluations=jnp.asarray(step.evaluations)), after

        finite = jnp.all(jnp.isfinite(sde.log_snr(s) - sde.log_snr(t)))
        return jax.lax.cond(finite & (history.known <= self.starts), start, proceed)
