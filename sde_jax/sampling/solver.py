"""What a sampler is, and the one scan of every sampler with a fixed grid."""

import abc
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from sde_jax.errors import InputError
from sde_jax.pytree import in_one_line
from sde_jax.sampling.grids import LogSNR, Spacing, frames_of
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class Solution(NamedTuple):
    """One example carried down a grid.

    x: its final value; evaluations: how often the denoiser was called for it; trajectory: [frames, *shape], its
    value at the times `grids.frames_of` chooses.
    """

    x: Array
    evaluations: Int[Array, ""]
    trajectory: Array


class Solver(Protocol):
    """Anything that carries one x down a grid of times; every sampler is one."""

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Carry x from grid[0] to grid[-1], keeping its value at `frames` times of the grid."""
        ...


MOVED = 2
"""How many earlier values a multistep method may use at a time at which x was moved. There is noise between them then,
which extrapolation amplifies: by 3.7 through three values in all, by 6.7 through four (Adams-Bashforth)."""


@in_one_line
class Step(NamedTuple):
    """One step: x, its mean given where the step started (x without the noise drawn in this step), denoiser calls."""

    x: Array
    mean: Array
    evaluations: Int[Array, ""] | int = 1


@dataclass(frozen=True)
class FixedGridSolver(abc.ABC):
    """A solver that makes one step between neighbouring times of the grid; a new one states `step`.

    With `noise_free` the last step's mean is kept rather than its noisy value, since no later step would remove
    that noise (Song et al. 2021, appendix G).
    """

    noise_free: bool = field(default=True, kw_only=True)

    @property
    def convergence_order(self) -> float:
        """The order claimed on a smooth problem: the weak order where noise is drawn."""
        return 1.0

    @property
    def draws_noise(self) -> bool:
        """Whether a step draws noise; where it does not, x itself converges, and not its distribution alone."""
        return True

    @property
    def effective_churn(self) -> float:
        """The churn of the reverse process that a step follows: 0 for the flow, 1 for Anderson's, inf for fresh noise.

        By default that of the `solver` it wraps, or its own `churn`; for one with neither 1 where noise is drawn.
        """
        part = getattr(self, "solver", None)
        if isinstance(part, FixedGridSolver):
            return part.effective_churn
        return getattr(self, "churn", float(self.draws_noise))

    @property
    def spacing(self) -> Spacing:
        """The grid that the order is claimed on."""
        return LogSNR()

    def init(self, x: Array, grid: Array) -> Any:
        """Return the state that is carried from step to step down `grid`; () where there is none.

        Raises `InputError` for a grid that the method cannot use.
        """
        return ()

    def check(self, sde: GaussianPath, grid: Array) -> None:  # noqa: B027
        """Raise `InputError` where the method cannot start where the grid does on this path, or end where it does.

        See `ends.py`. A solver that wraps another one passes this on.
        """

    def forget(self, state: Any, keep: int = 0) -> Any:
        """Return the state with which to go on from an x that something else than `step` moved.

        A solver with a memory keeps at most the last `keep` values: none where x was carried to another time, for
        they belong to another trajectory; `MOVED` where it was moved at its time. A solver that wraps another one
        passes this on. Raises `InputError` for a state unless the solver says what becomes of it.
        """
        if jax.tree.leaves(state):
            raise InputError(
                f"{type(self).__name__} carries a state from step to step and does not say what is left of it once x "
                "was moved by something else, such as a corrector or a restart: expected a method `forget(state, keep)`"
            )
        return state

    @abc.abstractmethod
    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s < t."""

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Scan `step` over the grid; step n draws from the key folded with n."""
        steps = len(grid) - 1
        # What is not kept goes to a slot after the last frame, which is left out in the end.
        slot = np.full(steps + 1, frames)
        slot[frames_of(steps, frames)] = np.arange(frames)

        def body(carry, inputs):
            x, _, state, trajectory, evaluations = carry
            n, t, s, slot = inputs
            step, state = self.step(jax.random.fold_in(key, n), x, t, s, state, sde=sde, denoise=denoise)
            trajectory = trajectory.at[slot].set(step.x)
            return (step.x, step.mean, state, trajectory, evaluations + step.evaluations), None

        trajectory = jnp.zeros((frames + 1, *x.shape), x.dtype).at[slot[0]].set(x)
        start = (x, x, self.init(x, grid), trajectory, jnp.zeros((), int))
        inputs = (jnp.arange(steps), grid[:-1], grid[1:], slot[1:])
        (last, mean, _, trajectory, evaluations), _ = jax.lax.scan(body, start, inputs)
        final = mean if self.noise_free else last
        trajectory = trajectory.at[slot[-1]].set(final)
        return Solution(final, evaluations, trajectory[:frames])


def draws_noise(solver: object) -> bool:
    """Return whether a solver draws noise, which asks for the score; one that does not say so does."""
    found = getattr(solver, "draws_noise", True)
    return found if isinstance(found, bool) else True  # of a traced churn it is not known


def check_steps(owner: object, solver: object) -> None:
    """Raise `InputError` unless `solver`, a part of `owner`, makes steps."""
    if not isinstance(solver, FixedGridSolver):
        raise InputError(f"{type(owner).__name__} of {solver!r}: expected a solver with a fixed grid, such as DDIM()")


def churn_of(solver: Solver) -> float:
    """Return the churn of the reverse process that a solver follows, see `FixedGridSolver.effective_churn`."""
    return getattr(solver, "effective_churn", getattr(solver, "churn", 0.0))


def check_solver(solver: Solver) -> None:
    """Raise `InputError` for what is no solver."""
    if isinstance(solver, type) or not hasattr(solver, "solve"):
        raise InputError(f"solver = {solver!r}: expected a solver, such as DDIM()")
