"""Every sampler from t = 1 to t = 0 on every path."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.certificate.finding import Law
from sde_jax.certificate.parts import PATHS, SAMPLERS
from sde_jax.errors import InputError
from sde_jax.sampling import FixedGridSolver
from sde_jax.sde import Centred, GaussianPath
from sde_jax.testing import GAUSSIAN, marginal, moments

STEPS = 128


def ends() -> Iterator[Law]:
    """Yield by how much the moments at t = 0 are off; a sampler that refuses to start or to end there errs by 0."""
    for part, solver in SAMPLERS.items():
        for on, sde in PATHS.items():
            yield Law("moments from t = 1 to t = 0", part, on, partial(_error, solver, sde), 0.06)


def _error(solver: FixedGridSolver, sde: GaussianPath) -> float:
    return reached(solver, sde) or 0.0


def reached(solver: FixedGridSolver, sde: GaussianPath) -> float | None:
    """Return the largest error of the moments at t = 0 on Gaussian data, from the exact ones at t = 1.

    On the solver's own spacing. None where it refuses the path's ends by name.
    """
    centred, mean, covariance = Centred(sde), GAUSSIAN.means[0], np.diag(GAUSSIAN.variances[0])
    with jax.enable_x64(True):
        grid = solver.spacing.times(sde, STEPS, 0.0)
        try:
            solver.check(sde, jnp.asarray(grid))
        except InputError:
            return None
    (found,) = moments(solver, sde, mean, covariance, [grid])
    exact = marginal(centred, mean, covariance, 0.0)
    return max(float(np.abs(a - b).max()) for a, b in zip(found, exact, strict=True))
