"""Samplers with their noise on a tape."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, DTypeLike, Float

from sde_jax.sampling import FixedGridSolver, Step
from sde_jax.sampling.loop import SAMPLES
from sde_jax.sde import Centred, GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@dataclass(frozen=True)
class Drawn(Centred):
    """A path without offset whose noise was drawn before: each draw is the next of `draws`, whatever the key.

    draws: arrays [n, *shape], of which each of n samples has its row; under a vmap over the axis SAMPLES.
    """

    draws: Iterator[ArrayLike]

    def noise(self, key: Key, shape: tuple[int, ...], dtype: DTypeLike = float) -> Array:
        """Return this sample's row of the next draw."""
        return jnp.asarray(next(self.draws), dtype)[jax.lax.axis_index(SAMPLES)].reshape(shape)


@dataclass(frozen=True)
class Replayed(FixedGridSolver):
    """A solver that takes the draws of step k from tape[k], in their order; under a vmap over the axis SAMPLES."""

    solver: FixedGridSolver
    tape: Float[Array, "steps draws n ..."]

    def init(self, x: Array, grid: Array) -> Any:
        """Return the number of steps made, and the solver's own state."""
        return jnp.zeros((), int), self.solver.init(x, grid)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s as the solver does."""
        made, inner = state
        draws = Drawn(sde, iter(jnp.asarray(self.tape)[made]))
        # a loop within the step must run as Python's does, for every turn of it to take a draw of its own
        with jax.disable_jit():
            step, inner = self.solver.step(key, x, t, s, inner, sde=draws, denoise=denoise)
        return step, (made + 1, inner)
