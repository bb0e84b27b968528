"""Restart sampling."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.pytree import holds
from sde_jax.sampling.edm import EDMHeun
from sde_jax.sampling.ends import check_signal
from sde_jax.sampling.solver import FixedGridSolver, Step, check_steps
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
@dataclass(frozen=True)
class Restart(FixedGridSolver):
    """A solver that, on reaching t <= low, goes `rounds` times back to t = high and down again in `steps` steps.

    Going back draws the forward process exactly, which contracts the errors made so far; going down is the solver's,
    on times equally far apart in lambda (Xu et al. 2023, algorithm 1). A solver with a memory begins anew with every
    round, and after the last one. Restarts in several intervals nest: Restart(Restart(...), ...). Raises `InputError`
    unless 0 < low < high <= 1, rounds >= 1 and steps >= 1, and for a grid none of whose steps starts at or below low.
    """

    solver: FixedGridSolver = field(default_factory=EDMHeun)
    low: float = 0.1
    high: float = 0.4
    rounds: int = 2
    steps: int = 4

    def __post_init__(self):
        check_steps(self, self.solver)
        between = holds(lambda low, high: 0 < low < high <= 1, self.low, self.high)
        if not (between and whole(self.rounds, 1) and whole(self.steps, 1)):
            raise InputError(f"{self}: expected 0 < low < high <= 1 and whole numbers rounds >= 1, steps >= 1")

    @property
    def convergence_order(self) -> float:
        """0 in the steps of the grid alone: a restart takes `steps` steps, however fine the grid."""
        return 0.0

    def init(self, x: Array, grid: Array) -> Any:
        """Return the solver's state, and whether there is still a restart to make."""
        if not isinstance(grid, jax.core.Tracer) and np.all(np.asarray(grid[:-1]) > self.low):
            raise InputError(
                f"{self} on a grid whose last step starts at t = {float(grid[-2]):g}: expected a step that starts at "
                f"or below low = {self.low:g}; take more steps or raise low"
            )
        return self.solver.init(x, grid), jnp.asarray(True)

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse what the solver refuses, and to go back to where lambda is infinite and has no equal steps."""
        self.solver.check(sde, grid)
        check_signal(self, sde, self.high)

    def forget(self, state: Any, keep: int = 0) -> Any:
        """Return the solver's, and whether there is still a restart to make."""
        inner, waiting = state
        return self.solver.forget(inner, keep), waiting

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Restart at t if it is time to, then carry x from t to s."""
        inner, waiting = state
        again, onwards = jax.random.split(key)
        now = waiting & (t <= self.low)
        x, spent, inner = jax.lax.cond(
            now,
            lambda: (*self.restarted(again, x, t, sde, denoise), self.solver.forget(inner)),
            lambda: (x, jnp.zeros((), int), inner),
        )
        step, inner = self.solver.step(onwards, x, t, s, inner, sde=sde, denoise=denoise)
        return step._replace(evaluations=step.evaluations + spent), (inner, waiting & ~now)

    def restarted(self, key: Key, x: Array, t: Time, sde: GaussianPath, denoise: Denoiser) -> tuple[Array, Array]:
        """Return x at t after all rounds, and the denoiser calls they took."""
        ends = jnp.mean(sde.log_snr(self.high)), jnp.mean(sde.log_snr(t))
        inside = jax.vmap(sde.time_of)(jnp.linspace(*ends, self.steps + 1)[1:-1])
        down = jnp.concatenate([jnp.full(1, self.high), inside, jnp.asarray(t)[None]])
        scale, std = sde.transition(t, self.high)
        solver = replace(self.solver, noise_free=False)

        def go(carry: tuple[Array, Array], key: Key) -> tuple[tuple[Array, Array], None]:
            x, spent = carry
            first, second = jax.random.split(key)
            x = scale * x + std * sde.noise(first, x.shape, x.dtype)
            solution = solver.solve(second, x, down, 0, sde=sde, denoise=denoise)
            return (solution.x, spent + solution.evaluations), None

        return jax.lax.scan(go, (x, jnp.zeros((), int)), jax.random.split(key, self.rounds))[0]
