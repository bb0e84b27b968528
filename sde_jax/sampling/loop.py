"""The one sampling function, and the one scan of every sampler with a fixed grid."""

import abc
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from sde_jax.errors import InputError
from sde_jax.sampling.grids import checked, frames_of
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


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


class Step(NamedTuple):
    """One step: x, and its mean given where the step started (x without the noise drawn in this step)."""

    x: Array
    mean: Array


@dataclass(frozen=True)
class FixedGridSolver(abc.ABC):
    """A solver that makes one step between neighbouring times of the grid; a new one states `step`.

    With `noise_free` the last step's mean is kept rather than its noisy value, since no later step would remove
    that noise (Song et al. 2021, appendix G).
    """

    noise_free: bool = field(default=True, kw_only=True)

    @property
    def evaluations_per_step(self) -> int:
        """The number of denoiser calls in one step."""
        return 1

    def init(self, x: Array) -> Any:
        """Return the state that a multistep method carries from step to step; () where there is none."""
        return ()

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
            x, _, state, trajectory = carry
            n, t, s, slot = inputs
            step, state = self.step(jax.random.fold_in(key, n), x, t, s, state, sde=sde, denoise=denoise)
            return (step.x, step.mean, state, trajectory.at[slot].set(step.x)), None

        trajectory = jnp.zeros((frames + 1, *x.shape), x.dtype).at[slot[0]].set(x)
        inputs = (jnp.arange(steps), grid[:-1], grid[1:], slot[1:])
        (last, mean, _, trajectory), _ = jax.lax.scan(body, (x, x, self.init(x), trajectory), inputs)
        final = mean if self.noise_free else last
        trajectory = trajectory.at[slot[-1]].set(final)
        return Solution(final, jnp.asarray(steps * self.evaluations_per_step), trajectory[:frames])


class Samples(NamedTuple):
    """Samples of a model.

    x: [n, *shape]; evaluations: [n], denoiser calls spent on each sample; trajectory: [n, frames, *shape], each
    sample at `frames` times of the grid, those that `grids.frames_of(steps, frames)` chooses.
    """

    x: Float[Array, "n ..."]
    evaluations: Int[Array, " n"]
    trajectory: Float[Array, "n frames ..."]


def sample(
    keys: Key,
    solver: Solver,
    sde: GaussianPath,
    denoise: Denoiser,
    grid: ArrayLike,
    shape: tuple[int, ...],
    frames: int = 0,
) -> Samples:
    """Draw one sample of `shape` for each of `keys` [n] by carrying prior noise down the grid.

    A sample is a function of its own key alone: neither the number of samples nor of devices changes it.
    Raises `InputError` for a grid that does not fall within [0, 1] and for a denoiser that changes shape or type;
    an adaptive solver that does not reach its tolerance raises when the result is computed.
    """
    times = checked(grid)
    check_denoiser(denoise, shape)

    def one(key: Key) -> Solution:
        prior, noise = jax.random.split(key)
        return solver.solve(noise, sde.prior_sample(prior, shape), times, frames, sde=sde, denoise=denoise)

    return Samples(*jax.vmap(one)(keys))


def check_denoiser(denoise: Denoiser, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless the denoiser maps a float array of `shape` to one of the same shape."""
    x = jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    out = jax.eval_shape(denoise, x, jax.ShapeDtypeStruct((), x.dtype))
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != x.shape or out.dtype != x.dtype:
        raise InputError(f"the denoiser maps {x} to {out}: expected the same shape and type")
