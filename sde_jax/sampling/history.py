"""What multistep samplers share: their memory, and how they start."""

import abc
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.errors import InputError
from sde_jax.pytree import in_one_line
from sde_jax.sampling.loop import FixedGridSolver, Step
from sde_jax.sampling.singlestep import runge_kutta
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class History(NamedTuple):
    """What a multistep method remembers, newest first.

    times: [p]; estimates: [p, *shape], what the method interpolates, there; known: how many of them are real;
    predicted: [*shape], the integral by which the step that led to the present time was made; left: the most values
    that the next step may use, one less with every step.
    """

    times: Float[Array, " p"]
    estimates: Float[Array, "p ..."]
    known: Int[Array, ""]
    predicted: Float[Array, "..."]
    left: Int[Array, ""]

    @classmethod
    def empty(cls, x: Array, start: Time, length: int, left: int) -> "History":
        """Return room for `length` values, of which the first step may use `left`."""
        zeros = jnp.zeros((length, *x.shape), x.dtype)
        return cls(
            jnp.full(length, start, x.dtype), zeros, jnp.zeros((), int), jnp.zeros_like(x), jnp.asarray(left + 1)
        )

    def extended(self, t: Time, estimate: Array, sde: GaussianPath) -> "History":
        """Return the history with the value at t in front; where lambda is infinite it cannot be interpolated later."""
        times = jnp.concatenate([jnp.asarray(t, self.times.dtype)[None], self.times[:-1]])
        estimates = jnp.concatenate([estimate[None], self.estimates[:-1]])
        known = jnp.where(jnp.all(jnp.isfinite(sde.log_snr(t))), self.known + 1, 0)
        return self._replace(times=times, estimates=estimates, known=known, left=self.left - 1)

    @property
    def usable(self) -> Int[Array, ""]:
        """Return how many values the next step uses, where it has room for them."""
        return jnp.minimum(self.known, self.left)


@dataclass(frozen=True)
class Multistep(FixedGridSolver):
    """A step through the last `order` values, one evaluation each, and a start that keeps the order.

    The first steps have fewer values, and one step of order q at the start costs the whole its order where q is less
    than the order claimed by more than one: with `starter` such steps are made by a Runge-Kutta method instead, for
    2 (order 3) or 4 (order 4) evaluations in all. Without it they are made with the values there are, as published.
    With `lower_order_final` the last steps are made with ever fewer values, the very last with one: steps of a coarse
    grid are long, and extrapolating over a long one does harm; the order is at most 2 then, and no step is made by
    Runge-Kutta. Raises `InputError` where a grid has fewer steps than `order`.
    """

    order: int = 2
    starter: bool = True
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
    def observe(self, x: Array, t: Time, history: History, x0: Array, sde: GaussianPath) -> tuple[Array, History]:
        """Return x, corrected, and the history, extended, once the clean estimate x0 at t is known."""

    @abc.abstractmethod
    def advance(
        self, key: Key, x: Array, t: Time, s: Time, history: History, x0: Array, sde: GaussianPath
    ) -> tuple[Step, History]:
        """Carry x from t to s through the values of the history."""

    def init(self, x: Array, grid: Array) -> History:
        """Return an empty history."""
        if len(grid) - 1 < self.order:
            raise InputError(
                f"{self} on a grid of {len(grid) - 1} steps: expected at least {self.order}, one for each value of its "
                "history; take more steps or a lower order"
            )
        steps = len(grid) - 1
        return History.empty(x, grid[0], self.remembered, steps if self.lower_order_final else steps + self.order)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: History, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, History]:
        """Carry x from t to s."""
        x0 = denoise(x, t)
        x, history = self.observe(x, t, state, x0, sde)
        if not self.starts:
            return self.advance(key, x, t, s, history, x0, sde)

        def start() -> tuple[Step, History]:
            order = int(self.convergence_order) - 1
            arrived = runge_kutta(x, t, s, x0, order, sde=sde, denoise=denoise)
            return Step(arrived, arrived, jnp.asarray(order)), history

        def proceed() -> tuple[Step, History]:
            step, after = self.advance(key, x, t, s, history, x0, sde)
            return step._replace(evaluations=jnp.asarray(step.evaluations)), after

        finite = jnp.all(jnp.isfinite(sde.log_snr(s) - sde.log_snr(t)))
        return jax.lax.cond(finite & (history.known <= self.starts), start, proceed)
