"""RePaint: imputation that goes back and down again, for known and unknown to agree."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from sde_jax.checks import finite
from sde_jax.errors import InputError, whole
from sde_jax.sampling.grids import frames_of
from sde_jax.sampling.imputation import NOT_FINITE, Imputed
from sde_jax.sampling.solver import Solution, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key


@dataclass(frozen=True)
class RePaint(Imputed):
    """Imputation in `rounds` rounds: on reaching a time of the grid, x is carried back over `jump` steps by the path's
    own transition, x_t = scale x_s + std z, and down again, `rounds` - 1 times.

    Lugmayr et al. 2022, algorithm 1 (jump = 1, their U = rounds) and section 4.2 (their j = jump, r = rounds): times
    from which one goes back are `jump` steps apart, counted from the last but one. A step back noises both parts of x
    together, so that what is drawn next for the unknown part has heard of the known one. A solver with a memory begins
    anew with every round. Evaluations of N steps: about rounds N. Raises `InputError` for fewer than one round or step
    and, with several rounds, for a grid of no more than `jump` steps.
    """

    rounds: int = 10
    jump: int = 1

    def __post_init__(self):
        super().__post_init__()
        if not (whole(self.rounds, 1) and whole(self.jump, 1)):
            raise InputError(f"rounds = {self.rounds}, jump = {self.jump}: expected whole numbers, 1 or more")

    @property
    def convergence_order(self) -> float:
        """0: what more steps bring is not of an order."""
        return 0.0

    def route(self, steps: int) -> Int[np.ndarray, "moves 2"]:
        """Return the moves (from, to) between the times 0 ... `steps` of a grid; to < from: back."""
        if self.rounds > 1 and steps <= self.jump:
            raise InputError(f"RePaint(jump={self.jump}) on a grid of {steps} steps: expected more steps than that")
        left = dict.fromkeys(range(steps - 1, self.jump - 1, -self.jump), self.rounds - 1)
        at, moves = 0, []
        while at < steps:
            moves.append((at, at + 1))
            at += 1
            if left.get(at, 0):
                left[at] -= 1
                moves.append((at, at - self.jump))
                at -= self.jump
        return np.array(moves)

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Scan over the route, from an x in which what is known is replaced; of a time, keep x at the last visit."""
        first, rest = jax.random.split(key)
        x = finite(self.begun(first, x, grid[0], sde), NOT_FINITE)
        steps = len(grid) - 1
        route, slot = self.route(steps), np.full(steps + 1, frames)
        slot[frames_of(steps, frames)] = np.arange(frames)

        def body(carry, inputs):
            x, _, state, trajectory, evaluations = carry
            n, t, s, back, slot = inputs
            key = jax.random.fold_in(rest, n)

            def down():
                step, after = self.step(key, x, t, s, state, sde=sde, denoise=denoise)
                return step._replace(evaluations=jnp.asarray(step.evaluations, int)), after

            def up():
                scale, std = sde.transition(t, s)
                y = scale * x + std * sde.noise(key, x.shape, x.dtype)
                return Step(y, y, jnp.zeros((), int)), self.forget(state)

            step, state = jax.lax.cond(back, up, down)
            return (step.x, step.mean, state, trajectory.at[slot].set(step.x), evaluations + step.evaluations), None

        trajectory = jnp.zeros((frames + 1, *x.shape), x.dtype).at[slot[0]].set(x)
        times, start = jnp.asarray(grid), (x, x, self.init(x, grid), trajectory, jnp.zeros((), int))
        inputs = (np.arange(len(route)), *times[route.T], route[:, 1] < route[:, 0], slot[route[:, 1]])
        (last, mean, _, trajectory, evaluations), _ = jax.lax.scan(body, start, inputs)
        final = mean if self.noise_free else last
        return Solution(final, evaluations, trajectory.at[slot[-1]].set(final)[:frames])
