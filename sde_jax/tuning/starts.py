"""Published multistep methods written out: their weights on a grid, from which tuning starts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from sde_jax.errors import InputError
from sde_jax.sampling import (
    DDIM,
    DEIS,
    IPNDM,
    DPMSolverMultistep,
    FixedGridSolver,
    Karras,
    LogSNR,
    Quadratic,
    Spacing,
    Tuned,
    Uniform,
    UniPC,
)
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array

SPACINGS: Mapping[str, Spacing] = {
    "Uniform": Uniform(),
    "Quadratic": Quadratic(),
    "LogSNR": LogSNR(),
    "Karras": Karras(),
}


Numbers = ArrayLike | Sequence[float]


class Start(NamedTuple):
    """A published formula on a grid: its name, and itself written out."""

    name: str
    solver: Tuned


def formulas() -> Iterator[tuple[str, FixedGridSolver]]:
    """Yield published formulas of one evaluation a step by name, those that win at few evaluations and their kin.

    None has a Runge-Kutta start, as published; those marked lower their order in the last steps.
    """
    plain: dict[str, bool] = {"starter": False, "lower_order_final": False}
    final = {**plain, "lower_order_final": True}
    yield "DDIM", DDIM()
    yield "DPM-Solver++(2M), final", DPMSolverMultistep(2, published=True, **final)
    yield "DPM-Solver++(3M), final", DPMSolverMultistep(3, published=True, **final)
    yield "UniPC-2 bh2, final", UniPC(2, published=True, **final)
    yield "UniPC-3, final", UniPC(3, published=True, **final)
    yield "DEIS-3", DEIS(3, **plain)
    yield "iPNDM-3", IPNDM(3, **plain)
    yield "iPNDM-4", IPNDM(4, **plain)
    yield "iPNDM-3, final", IPNDM(3, **final)


def starts(sde: GaussianPath, steps: int, end: float) -> Iterator[Start]:
    """Yield every formula on every grid of so many steps from t = 1 to `end`, where both can be had."""
    grids = {}
    for name, spacing in SPACINGS.items():
        try:
            grids[name] = spacing.times(sde, steps, end)
        except InputError:  # too few steps for this path, or no such numbers in this precision
            continue
    for name, solver in formulas():
        try:
            rows = np.asarray(_each(solver, sde)(jnp.asarray(np.stack([*grids.values()]), float)))
        except InputError:  # fewer steps than its order
            continue
        for (grid, times), weights in zip(grids.items(), rows, strict=True):
            if np.all(np.isfinite(weights)):
                yield Start(f"{name}, {grid}", tuned(times, times[:-1], weights))


def _each(solver: FixedGridSolver, sde: GaussianPath) -> Callable[[Array], Array]:
    options = {"xla_backend_optimization_level": 0}  # run once: compiling it is all that it costs
    return jax.jit(jax.vmap(partial(written_out, solver, sde)), compiler_options=options)


def tuned(times: Numbers, told: Numbers, weights: Numbers) -> Tuned:
    """Return the solver of these times and of weights [steps, steps], those above the diagonal left out."""
    rows = tuple(tuple(map(float, row[: n + 1])) for n, row in enumerate(np.asarray(weights)))
    return Tuned(tuple(map(float, np.asarray(times))), tuple(map(float, np.asarray(told))), rows)


def written_out(
    solver: FixedGridSolver, sde: GaussianPath, grid: Float[Array, " steps+1"]
) -> Float[Array, "steps steps"]:
    """Return the weights w_nk of `Tuned` with which it makes a solver's steps down a grid.

    A solver that is linear in the denoiser's values, one a step, is known by what it makes of unit vectors: started
    from x = 0 with D_k = e_k, it comes to x_n = sum_k c_nk e_k.
    """
    steps = len(grid) - 1
    values = lambda x, t: (t == grid[:-1]).astype(x.dtype)  # noqa: E731
    start = jnp.zeros(steps, grid.dtype)
    c = solver.solve(jax.random.key(0), start, grid, steps + 1, sde=sde, denoise=values).trajectory
    alpha, sigma = jax.vmap(sde.alpha)(grid), jax.vmap(sde.sigma)(grid)
    return (c[1:] - (sigma[1:] / sigma[:-1])[:, None] * c[:-1]) / alpha[1:, None]
