"""The grid that measured best for a solver on a path, where no more is asked for than a number of steps."""

from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from sde_jax.errors import InputError, whole
from sde_jax.pytree import concrete
from sde_jax.sampling.adams_bashforth import DEIS, IPNDM
from sde_jax.sampling.discretization import EulerSteps
from sde_jax.sampling.edm import EDMHeun
from sde_jax.sampling.grids import Logistic, OfficialGrid, Spacing, Uniform, checked
from sde_jax.sampling.heun import Heun
from sde_jax.sampling.multistep import ExponentialMultistep, UniPC
from sde_jax.sampling.singlestep import DPMSolverSinglestep
from sde_jax.sampling.solver import FixedGridSolver, Solver, draws_noise
from sde_jax.sde import GaussianPath, Tabulated
from sde_jax.typing import Array

END = 1e-3
"""The time at which a grid ends unless an end is named, where no other is recommended (Song et al. 2021)."""
CLEAN = 0.01
"""sigma / alpha where a grid ends whose solver does not come to the data themselves."""
FLOW_END = 1e-5
"""The time at which an adaptive solver of the flow ends, whose velocity is 0 / 0 at 0."""


@dataclass(frozen=True)
class Recommended:
    """The spacing that `spacing_of` names for a solver and a number of steps; of no solver, for DDIM.

    As the spacing of a sampler it is that of the sampler's own solver.
    """

    def times(self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0) -> np.ndarray:
        """Return the grid; raises `InputError` as `Logistic` does."""
        return FLOW[FixedGridSolver].spacing(steps).times(sde, steps, end, start)


@dataclass(frozen=True)
class Curve:
    """`Logistic` with power = `fine` + `coarse` / steps: fewer steps are spread more like equal steps in log rho."""

    fine: float
    coarse: float
    middle: float

    def spacing(self, steps: int) -> Spacing:
        """Return the spacing of so many steps."""
        return Logistic(self.fine + self.coarse / steps, self.middle)


FLOW: dict[type, Curve] = {
    IPNDM: Curve(1.1, 1.2, 0.65),
    DEIS: Curve(0.95, 1.0, 0.9),
    UniPC: Curve(1.1, 0.8, 0.5),
    ExponentialMultistep: Curve(0.9, 2.1, 0.6),
    DPMSolverSinglestep: Curve(1.3, 0.0, 0.6),
    EDMHeun: Curve(1.3, 0.0, 1.7),
    Heun: Curve(1.3, 0.0, 1.0),
    FixedGridSolver: Curve(0.9, 0.0, 0.7),
}
"""What errs least in 5 to 20 evaluations without noise, by tests/benchmarks/few_evaluations.py; the first that fits.

rho = sigma / alpha is relative to data of a size of about 1, to which they are scaled. Of the path nothing else counts:
in terms of rho most methods are the same on all paths.
"""
NOISY: dict[type, Curve] = {
    ExponentialMultistep: Curve(1.4, 0.0, 0.3),
    FixedGridSolver: Curve(1.2, 0.0, 0.8),
}
"""The same with noise, by the exact moments of Gaussian data after 20 and 100 steps."""


def spacing_of(solver: Solver, steps: int) -> Spacing:
    """Return the spacing that measured best for a solver in so many steps."""
    if not isinstance(solver, FixedGridSolver):
        return Uniform()  # whose ends alone it takes, and the times of its frames
    if _stands_for_rows(solver):
        return OfficialGrid()
    part = getattr(solver, "solver", getattr(solver, "predictor", None))
    if isinstance(part, FixedGridSolver):
        return spacing_of(part, steps)
    measured = NOISY if draws_noise(solver) else FLOW
    return next(curve for kind, curve in measured.items() if isinstance(solver, kind)).spacing(steps)


def recommended_grid(
    solver: Solver, sde: GaussianPath, steps: int, end: float | None = None
) -> Float[np.ndarray, " steps+1"]:
    """Return the times from 1 down to `end`, to `end_of` the solver where none is given.

    Raises `InputError` unless steps is a whole number, 1 or more; for a path that is traced, and as the spacings do.
    """
    if not whole(steps, 1):
        raise InputError(
            f"grid = {steps!r}: expected a number of steps, whole and 1 or more, or two or more times, floats that "
            "fall within [0, 1]"
        )
    if not concrete(sde):
        raise InputError(
            f"grid = {steps} steps on a traced {type(sde).__name__}: expected a path with numbers, closed over and no "
            "argument of the function that is transformed, or times made outside of it"
        )
    return spacing_of(solver, steps).times(sde, steps, end_of(solver, sde) if end is None else end)


def end_of(solver: Solver, sde: GaussianPath) -> float:
    """Return the time at which a solver's recommended grid ends.

    0 for a solver without noise that can come there; otherwise where sigma / alpha is `CLEAN`, or 0 on a path that
    has more noise there. An adaptive solver of the flow ends at `FLOW_END`, one of the
    reverse SDE and one that moves down the rows of a table at `END`.
    """
    if not isinstance(solver, FixedGridSolver):
        return END if draws_noise(solver) else FLOW_END
    if _stands_for_rows(solver):
        return END
    return 0.0 if not draws_noise(solver) and _arrives(solver, sde) else clean_time(sde)


def clean_time(sde: GaussianPath) -> float:
    """Return the time at which sigma / alpha is `CLEAN`, 0 where it is more everywhere."""
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        wanted = -jnp.log(CLEAN)
        inside = jnp.mean(sde.log_snr(jnp.zeros(()))) > wanted + 1e-3
        return float(sde.time_of(wanted)) if inside else 0.0


def times_of(grid: ArrayLike, solver: Solver, sde: GaussianPath, end: float | None = None) -> Float[Array, " steps+1"]:
    """Return the times of a grid: those given, or those recommended for so many steps.

    Raises `InputError` as `grids.checked` does of times, and as `recommended_grid` of a number.
    """
    if isinstance(grid, list | tuple) or np.ndim(grid):
        return checked(grid)
    return checked(recommended_grid(solver, sde, cast(int, grid), end))


def _stands_for_rows(solver: FixedGridSolver) -> bool:
    """Return whether a solver's steps are those of a table, or of a chain of so many, whatever the grid."""
    discretization = getattr(solver, "discretization", None)
    own = (getattr(solver, "chain", None), discretization, getattr(discretization, "chain", None))
    return any(isinstance(part, Tabulated | EulerSteps) for part in own)


def _arrives(solver: FixedGridSolver, sde: GaussianPath) -> bool:
    try:
        solver.check(sde, jnp.array([0.5, 0.0]))
    except InputError:
        return False
    return True
