"""Every sampler on every path: orders of convergence."""

from collections.abc import Iterator
from functools import partial

from sde_jax.certificate.finding import Law
from sde_jax.certificate.parts import PATHS, SAMPLERS
from sde_jax.sampling import FixedGridSolver
from sde_jax.sde import GaussianPath
from sde_jax.testing import GAUSSIAN, MIXTURE, Target, flow_order, weak_order

SLACK = 0.15
GAUSSIAN_LAW, MIXTURE_LAW = "order, Gaussian", "order, mixture"


def orders() -> Iterator[Law]:
    """Yield, for every sampler and path, the orders: of the flow where no noise is drawn, of the moments elsewhere."""
    for part, solver in SAMPLERS.items():
        bound = solver.convergence_order - SLACK
        for on, sde in PATHS.items():
            yield Law(GAUSSIAN_LAW, part, on, partial(_measured, solver, sde, GAUSSIAN), bound, at_least=True)
            if not solver.draws_noise:
                yield Law(MIXTURE_LAW, part, on, partial(_measured, solver, sde, MIXTURE), bound, at_least=True)


def _measured(solver: FixedGridSolver, sde: GaussianPath, target: Target) -> float:
    return (weak_order(solver, sde) if solver.draws_noise else flow_order(solver, sde, target)).measured
