"""Prior draws, and where the probability flow of a denoiser carries them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.prediction import moved
from sde_jax.pytree import in_one_line
from sde_jax.sampling import LogSNR, Solver, UniPC
from sde_jax.sde import Centred, GaussianPath
from sde_jax.typing import Array, Denoiser, Key

DenoiserOf = Callable[[Any], Denoiser]
"""What is given for a draw, such as its label, to the denoiser of it."""


@in_one_line
class Draws(NamedTuple):
    """Draws of the prior and what becomes of them.

    start: [n, *shape], x at t = 1 less the path's offset; given: a pytree of arrays [n, ...], what each denoiser is
    given; end: [n, *shape], x less the offset where the flow has carried it.
    """

    start: Float[Array, "n ..."]
    given: Any
    end: Float[Array, "n ..."]

    def part(self, low: int, high: int) -> "Draws":
        """Return the draws from number `low` to `high`."""
        return jax.tree.map(lambda leaf: leaf[low:high], self)

    def batches(self, size: int) -> list["Draws"]:
        """Return the draws in parts of `size`; what is left over beyond the last whole one is left out."""
        size = min(size, len(self.start))
        return [self.part(low, low + size) for low in range(0, len(self.start) - size + 1, size)]


def arrival(solver: Solver, sde: GaussianPath, denoise: Denoiser, y: Array, grid: Array) -> Array:
    """Return where a solver that draws no noise carries ONE x less its offset, less the offset there."""
    centred = moved(denoise, lambda y, t: (y + sde.offset(t), t))
    return solver.solve(jax.random.key(0), y, grid, 0, sde=Centred(sde), denoise=centred).x


def drawn(
    keys: Key,
    given: Any,
    sde: GaussianPath,
    denoiser_of: DenoiserOf,
    grid: np.ndarray,
    shape: tuple[int, ...],
    batch: int,
) -> Draws:
    """Return a draw for each of `keys` [n], carried down `grid` by UniPC of order 4, `batch` at once."""

    @jax.jit
    def some(denoiser_of: DenoiserOf, keys: Key, given: Any) -> Draws:
        def one(key: Key, given: Any) -> Draws:
            y = sde.prior_sample(key, shape) - sde.offset(grid[0])
            return Draws(y, given, arrival(UniPC(3), sde, denoiser_of(given), y, jnp.asarray(grid, float)))

        return jax.vmap(one)(keys, given)

    count = len(keys)
    batch = min(batch, count)
    # the last part starts earlier where it would be short, so that one program serves all
    lows = [min(low, count - batch) for low in range(0, count, batch)]
    parts = [some(denoiser_of, keys[n : n + batch], jax.tree.map(lambda a, n=n: a[n : n + batch], given)) for n in lows]
    ends = [*lows[1:], count]
    return jax.tree.map(
        lambda *leaves: jnp.concatenate([leaf[: e - n] for leaf, n, e in zip(leaves, lows, ends, strict=True)]), *parts
    )


def fine_grid(sde: GaussianPath, steps: int, end: float) -> Float[np.ndarray, " steps+1"]:
    """Return equal steps of log-SNR from t = 1 to `end`, on which a fine solution is made."""
    return LogSNR().times(sde, steps, end)


def squared_distances(one: Float[Array, "n ..."], other: Float[Array, "n ..."]) -> Float[np.ndarray, " n"]:
    """Return |one_i - other_i|^2."""
    return np.square(np.asarray(one, float) - np.asarray(other, float)).reshape(len(one), -1).sum(1)


def root_mean(squares: Float[np.ndarray, " n"]) -> float:
    """Return the root of the mean."""
    return math.sqrt(float(np.mean(squares)))
