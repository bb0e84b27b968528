"""Orders of convergence, measured."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.errors import takes_components
from sde_jax.ode import Tolerance
from sde_jax.prediction.exact import MixtureDenoiser
from sde_jax.sampling import FixedGridSolver, ProbabilityFlow
from sde_jax.sde import VP, Centred, GaussianPath
from sde_jax.testing.moments import marginal, moments
from sde_jax.typing import Array, Time

STEPS = (32, 64, 128, 256)
FLOW_STEPS = (64, 128, 256, 512)
"""Without noise steps are cheap, and high orders show late."""
NOISE = (2.0, 0.5)
"""The sigma / alpha between which orders are measured: from more noise than data to less."""


class Target(NamedTuple):
    """A mixture of Gaussians with diagonal covariances: weights [k], means [k, n], variances [k, n]."""

    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k n"]
    variances: Float[np.ndarray, "k n"]


GAUSSIAN = Target(np.array([0.5, 0.5]), np.array([[0.5, -1.0]] * 2), np.array([[0.5, 0.15]] * 2))
"""In two equal parts, so that what is compiled for a mixture serves it too."""
MIXTURE = Target(np.array([0.4, 0.6]), np.array([[1.0, -0.5], [-1.0, 0.3]]), np.array([[0.2, 0.1], [0.1, 0.3]]))


class Order(NamedTuple):
    """A measured order of convergence: the slope over all numbers of steps, and the error in each."""

    measured: float
    steps: tuple[int, ...]
    errors: tuple[float, ...]

    def __str__(self) -> str:
        """Return the errors, for a reader."""
        return ", ".join(f"{error:.2g} in {n} steps" for error, n in zip(self.errors, self.steps, strict=True))


def ends(sde: GaussianPath) -> tuple[float, float]:
    """Return the times at which sigma / alpha is NOISE."""
    return tuple(float(sde.time_of(-jnp.log(jnp.asarray(rho)))) for rho in NOISE)  # pyright: ignore[reportReturnType]


def weak_order(solver: FixedGridSolver, sde: GaussianPath, steps: Sequence[int] = STEPS) -> Order:
    """Return the order of the moments of x on Gaussian data, from the exact ones at the start; no sampling error."""
    with jax.enable_x64(True):
        sde = Centred(sde)
        start, end = ends(sde)
        mean, covariance = GAUSSIAN.means[0], np.diag(GAUSSIAN.variances[0])
        exact = marginal(sde, mean, covariance, end)
        grids = [solver.spacing.times(sde, n, end, start) for n in steps]
        reached = moments(solver, sde, mean, covariance, grids)
        errors = [sum(float(np.linalg.norm(a - b)) for a, b in zip(m, exact, strict=True)) for m in reached]
    return _order(steps, errors)


def flow_order(
    solver: FixedGridSolver, sde: GaussianPath, target: Target = MIXTURE, steps: Sequence[int] = FLOW_STEPS
) -> Order:
    """Return the order of x itself, for a solver that draws no noise, against an adaptive solution to 1e-12.

    The error is the root mean square over eight starting points drawn from N(0, sigma^2 I).
    """
    with jax.enable_x64(True):
        sde = Centred(sde)
        start, end = ends(sde)
        x, exact = _carried(sde, target, start, end)
        errors = []
        for n in steps:
            grid = cast(Array, solver.spacing.times(sde, n, end, start))
            y, state = x, jax.vmap(lambda x, grid=grid: solver.init(x, grid))(x)
            for t, s in pairwise(grid):
                y, state = _advance(solver, sde, target, y, t, s, state)
            errors.append(float(jnp.sqrt(jnp.mean((y - exact) ** 2))))
    return _order(steps, errors)


@jax.jit
def _carried(sde: GaussianPath, target: Target, start: Time, end: Time) -> tuple[Array, Array]:
    """Return starting points, and where the flow takes them."""
    x = sde.sigma(start) * jax.random.normal(jax.random.key(0), (8, target.means.shape[-1]))
    flow, grid = ProbabilityFlow(Tolerance(1e-12, 1e-12, 10**5)), jnp.stack([start, end])
    denoise, key = MixtureDenoiser(sde, *target), jax.random.key(0)
    return x, jax.vmap(lambda x: flow.solve(key, x, grid, 0, sde=sde, denoise=denoise).x)(x)


@partial(jax.jit, static_argnums=0)
def _advance(solver: FixedGridSolver, sde: GaussianPath, target: Target, x: Array, t: Time, s: Time, state):
    """Carry a batch one step. The path and the target are arguments, so that one compilation serves many."""
    denoise = MixtureDenoiser(sde, *target)

    def one(x: Array, state):
        step, after = solver.step(jax.random.key(0), x, t, s, state, sde=sde, denoise=denoise)
        return step.x, after

    return jax.vmap(one)(x, state)


def _order(steps: Sequence[int], errors: Sequence[float]) -> Order:
    slope = np.log(errors[0] / errors[-1]) / np.log(steps[-1] / steps[0])
    return Order(float(slope), tuple(steps), tuple(errors))


@takes_components
def check_solver(
    solver: FixedGridSolver,
    order: float | None = None,
    sde: GaussianPath | None = None,
    *,
    tolerance: float = 0.15,
) -> None:
    """Hold a sampler to the order it claims, `solver.convergence_order` unless given, on `sde` (by default VP).

    From the exact distribution where sigma / alpha is 2, to where it is 1/2, on the solver's own `spacing`: on Gaussian
    data the error of the moments, computed exactly (see `moments`), falls like steps^-order, which for an SDE solver
    is its weak order; and without noise so does that of x itself on a mixture. Raises `AssertionError` where the slope
    over the numbers of steps falls short of the order by more than `tolerance`; more is no fault, since on Gaussian
    data terms of an error may vanish.
    """
    order = solver.convergence_order if order is None else order
    sde = VP() if sde is None else sde
    laws = [("the moments err by", weak_order)]
    laws += [] if solver.draws_noise else [("on a mixture x errs by", flow_order)]
    for words, law in laws:
        found = law(solver, sde)
        if not found.measured >= order - tolerance:
            raise AssertionError(f"{solver} on {sde} has order {found.measured:.2f}, not {order:g}: {words} {found}")
