"""Adaptive solvers, through diffrax: steps as long as a tolerance allows."""

from dataclasses import dataclass, field
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import lineax

from sde_jax.errors import InputError, takes_components
from sde_jax.ode import Method, ShARK, Tolerance, Tsit5, evaluations, integrate
from sde_jax.ode.flow import check_explicit
from sde_jax.ode.recorded import solved
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
        # Time runs from 0 to 1, which diffrax can look at while tracing: of a traced end it would ask the host.
        elapsed = grid[0] - grid[frames_of(len(grid) - 1, max(frames, 1))]
        whole = elapsed[-1]
        t = lambda tau: grid[0] - whole * tau  # noqa: E731
        scale = lambda tau, y: jnp.sqrt(whole) * noise(t(tau)) * jnp.ones_like(y)  # noqa: E731
        area = diffrax.SpaceTimeLevyArea
        brownian = _BrownianTree(0.0, 1.0, tol=1e-4, shape=jax.typeof(x), key=key, levy_area=area)  # type: ignore[call-arg]
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda tau, y, args: -whole * drift(y, t(tau))),
            diffrax.ControlTerm(lambda tau, y, args: lineax.DiagonalLinearOperator(scale(tau, y)), brownian),
        )
        values, solution = solved(
            terms,
            scheme,
            x,
            0.0,
            elapsed / whole,
            end=1.0,
            dt0=1e-3,
            stepsize_controller=self.solver.controller(self.tolerance),
            max_steps=self.tolerance.max_steps,
            adjoint=diffrax.ForwardMode(),
        )
        values = self.tolerance.require(values, solution, "the reverse SDE")
        return Solution(
            values[-1], evaluations(scheme)[1] * solution.stats["num_steps"], values if frames else values[:0]
        )


class _BrownianTree(diffrax.VirtualBrownianTree):
    """diffrax's tree, of which times are asked between 0 and 1 alone: without its callback that looks at them."""

    def _evaluate(self, r: Any) -> Any:
        return jax.tree.map(lambda key, shape: self._evaluate_leaf(key, r, shape), self.key, self.shape)
