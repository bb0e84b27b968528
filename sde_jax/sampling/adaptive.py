"""Adaptive solvers, through diffrax: steps as long as a tolerance allows."""

from dataclasses import dataclass, field

import diffrax
import jax
import jax.numpy as jnp
import lineax

from sde_jax.errors import InputError, takes_components
from sde_jax.ode import Method, ShARK, Tolerance, Tsit5, evaluations, integrate
from sde_jax.ode.flow import check_explicit
from sde_jax.pytree import known
from sde_jax.reverse import check_churn, reverse
from sde_jax.sampling.ends import check_rates, check_velocity
from sde_jax.sampling.grids import frames_of
from sde_jax.sampling.solver import Solution
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key


@takes_components
@dataclass(frozen=True)
class ProbabilityFlow:
    """The probability-flow ODE dx/dt = f x - g^2/2 score, deterministic given the prior's draw.

    Song et al. 2021, eq. 13 and section 4.3. Every sample has its own steps; the grid says where it starts, where it
    ends and at which times the trajectory is kept. Raises `InputError` for a solver that is not an explicit
    Runge-Kutta method.
    """

    tolerance: Tolerance = field(default_factory=Tolerance)
    solver: Method = field(default_factory=Tsit5)

    def __post_init__(self):
        check_explicit(self.solver)

    @property
    def draws_noise(self) -> bool:
        """No."""
        return False

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse a start and an end where the velocity is not finite."""
        for t in (grid[0], grid[-1]):
            check_velocity(self, sde, t)

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Carry x from grid[0] to grid[-1]; `key` is not used."""
        times = grid[frames_of(len(grid) - 1, max(frames, 1))]
        flow = integrate(reverse(sde, denoise, churn=0.0).drift, x, grid[0], times, self.tolerance, self.solver)
        return Solution(flow.values[-1], flow.evaluations, flow.values if frames else flow.values[:0])


@takes_components
@dataclass(frozen=True)
class ReverseSDE:
    """The reverse SDE of `churn` > 0 with adaptive steps, by default of strong order 1.5 for its additive noise.

    A stochastic Runge-Kutta method on a virtual Brownian tree, so that the path does not depend on the steps taken;
    both from diffrax. The tree is cheap only beside a large network. Raises `InputError` for any other solver, and
    unless churn >= 0.
    """

    churn: float = 1.0
    tolerance: Tolerance = field(default_factory=lambda: Tolerance(rtol=1e-2, atol=1e-2))
    solver: Method = field(default_factory=ShARK)

    def __post_init__(self):
        check_churn(self, self.churn)
        scheme = self.solver.scheme()
        if not isinstance(scheme, diffrax.AbstractSRK) or scheme.tableau.b_error is None:
            raise InputError(f"{scheme}: expected a stochastic Runge-Kutta method with adaptive steps, such as ShARK")

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse a start and an end where the velocity is not finite or f and g^2 are infinite."""
        for t in (grid[0], grid[-1]):
            check_velocity(self, sde, t)
            if known(self.churn) and self.churn:
                check_rates(self, sde, t)

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Carry x from grid[0] to grid[-1]."""
        self.tolerance.check_resolution(x)
        drift, noise = reverse(sde, denoise, self.churn)
        scheme = self.solver.scheme()
        elapsed = grid[0] - grid[frames_of(len(grid) - 1, max(frames, 1))]
        brownian = diffrax.VirtualBrownianTree(
            0.0, elapsed[-1], tol=1e-4, shape=jax.typeof(x), key=key, levy_area=diffrax.SpaceTimeLevyArea
        )
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda tau, y, args: -drift(y, grid[0] - tau)),
            diffrax.ControlTerm(
                lambda tau, y, args: lineax.DiagonalLinearOperator(noise(grid[0] - tau) * jnp.ones_like(y)),
                brownian,
            ),
        )
        solution = diffrax.diffeqsolve(
            terms,
            scheme,
            t0=0.0,
            t1=elapsed[-1],
            dt0=1e-3,
            y0=x,
            saveat=diffrax.SaveAt(ts=elapsed),
            stepsize_controller=self.solver.controller(self.tolerance),
            max_steps=self.tolerance.max_steps,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        values = self.tolerance.require(solution.ys, solution, "the reverse SDE")
        return Solution(
            values[-1], evaluations(scheme)[1] * solution.stats["num_steps"], values if frames else values[:0]
        )
