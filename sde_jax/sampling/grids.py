"""Grids of times for the fixed-step samplers."""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from sde_jax.errors import InputError
from sde_jax.typing import Array


def uniform(steps: int, end: float = 1e-3) -> Float[np.ndarray, " steps+1"]:
    """Return `steps` equal steps from t = 1 down to t = `end` >= 0 (Song et al. 2021, appendix G).

    Raises `InputError` unless steps >= 1 and 0 <= end < 1.
    """
    if steps < 1 or not 0 <= end < 1:
        raise InputError(f"uniform(steps={steps}, end={end}): expected steps >= 1 and 0 <= end < 1")
    return np.linspace(1.0, end, steps + 1)


def official(steps: int, end: float = 1e-3) -> Float[np.ndarray, " steps+1"]:
    """Return `steps` times from 1 down to `end` > 0, evenly spread, and then 0: a step starts at each of them.

    The grid of the official code, whose last step starts at `end` and, by its tables, comes to data.
    Raises `InputError` unless steps >= 2 and 0 < end < 1.
    """
    if steps < 2 or not 0 < end < 1:
        raise InputError(f"official(steps={steps}, end={end}): expected steps >= 2 and 0 < end < 1")
    return np.append(np.linspace(1.0, end, steps), 0.0)


def checked(grid: ArrayLike) -> Float[Array, " steps+1"]:
    """Return the grid as an array; raises `InputError` unless it falls strictly, within [0, 1].

    Inside a transformation a traced grid has no values to look at, and passes.
    """
    if isinstance(grid, jax.core.Tracer):
        return grid
    times = np.asarray(grid)
    if times.ndim != 1 or times.size < 2 or not np.issubdtype(times.dtype, np.floating):
        raise InputError(f"grid of shape {times.shape} and type {times.dtype}: expected two or more times, floats")
    if not (np.all(np.diff(times) < 0) and times[0] <= 1 and times[-1] >= 0):
        raise InputError(f"grid from {times[0]:g} to {times[-1]:g}: expected times that fall strictly, within [0, 1]")
    return times.astype(jnp.result_type(float))


def frames_of(steps: int, frames: int) -> Int[np.ndarray, " frames"]:
    """Return which of the steps + 1 times of a grid are kept: `frames` of them, evenly spread, the last included."""
    return np.round(np.linspace(steps, 0, frames)).astype(int)[::-1]
