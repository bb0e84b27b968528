"""Every sampler on every path: orders of convergence."""

from collections.abc import Iterator
from functools import partial

from sde_jax.certificate.finding import Finding, Law
from sde_jax.certificate.parts import PATHS, SAMPLERS
from sde_jax.sampling import FixedGridSolver
from sde_jax.sde import GaussianPath
from sde_jax.testing import GAUSSIAN, MIXTURE, draws_noise, flow_order, weak_order

SLACK = 0.15
GAUSSIAN_LAW, MIXTURE_LAW = "order, Gaussian", "order, mixture"


def orders() -> Iterator[Law]:
    """Yield, for every sampler and path, the orders: of the flow where no noise is drawn, of the moments elsewhere."""
    for part, solver in SAMPLERS.items():
        for on, sde in PATHS.items():
            yield Law(f"{GAUSSIAN_LAW}: {part} on {on}", partial(_on_gaussian, part, solver, on, sde))
            if not draws_noise(solver, sde):
                yield Law(f"{MIXTURE_LAW}: {part} on {on}", partial(_on_mixture, part, solver, on, sde))


def _on_gaussian(part: str, solver: FixedGridSolver, on: str, sde: GaussianPath) -> Finding:
    order = weak_order(solver, sde) if draws_noise(solver, sde) else flow_order(solver, sde, GAUSSIAN)
    return Finding(GAUSSIAN_LAW, part, on, order.measured, solver.convergence_order - SLACK, at_least=True)


def _on_mixture(part: str, solver: FixedGridSolver, on: str, sde: GaussianPath) -> Finding:
    order = flow_order(solver, sde, MIXTURE)
    return Finding(MIXTURE_LAW, part, on, order.measured, solver.convergence_order - SLACK, at_least=True)
