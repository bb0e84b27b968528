"""Adaptive methods: a Runge-Kutta scheme of diffrax and its rule for the sizes of steps."""

from dataclasses import dataclass
from typing import Any, Protocol

import diffrax
import jax
import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.ode.tolerance import Tolerance
from sde_jax.typing import Array


class Method(Protocol):
    """A scheme of diffrax with a controller of its steps."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return the scheme."""
        ...

    def controller(self, tolerance: Tolerance) -> diffrax.AbstractStepSizeController:
        """Return the rule that chooses every step, the first included."""
        ...


@dataclass(frozen=True)
class _Proportional:
    """Steps by a PID controller of the local error (Söderlind 2003); (0, 1, 0) is the textbook rule."""

    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0

    def controller(self, tolerance: Tolerance) -> diffrax.AbstractStepSizeController:
        """Return the PID controller that keeps to a tolerance."""
        return diffrax.PIDController(
            tolerance.rtol,
            tolerance.atol,
            pcoeff=self.pcoeff,
            icoeff=self.icoeff,
            dcoeff=self.dcoeff,
            norm=largest_part,
        )


def largest_part(y: Any) -> Array:
    """Return the largest root mean square among the arrays of a pytree: each keeps to the tolerance by itself.

    In one mean over all numbers a log-density beside an image of n would be allowed sqrt(n + 1) times the tolerance.
    """
    return jnp.max(jnp.stack([jnp.sqrt(jnp.mean(jnp.square(part))) for part in jax.tree.leaves(y)]))


@dataclass(frozen=True)
class Tsit5(_Proportional):
    """Tsitouras' method of order 5 (2011): six evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.Tsit5()


@dataclass(frozen=True)
class Dopri5(_Proportional):
    """Dormand and Prince's method of order 5 (1980): six evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.Dopri5()


@dataclass(frozen=True)
class Dopri8(_Proportional):
    """Dormand and Prince's method of order 8 (1981), for tight tolerances: thirteen evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.Dopri8()


@dataclass(frozen=True)
class Bosh3(_Proportional):
    """Bogacki and Shampine's method of order 3 (1989), for loose tolerances: three evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.Bosh3()


@dataclass(frozen=True)
class Heun(_Proportional):
    """Heun's method of order 2 with Euler's for its error: two evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.Heun()


@dataclass(frozen=True)
class _Cautious(_Proportional):
    """Steps of an SDE: corrected by halves, and none below `least`, since a path of noise is never smooth.

    least: as a part of the whole way.
    """

    pcoeff: float = 0.1
    icoeff: float = 0.3
    least: float = 1e-4

    def controller(self, tolerance: Tolerance) -> diffrax.AbstractStepSizeController:
        """Return the PID controller that keeps to a tolerance with steps no shorter than `least`."""
        return diffrax.PIDController(
            tolerance.rtol,
            tolerance.atol,
            pcoeff=self.pcoeff,
            icoeff=self.icoeff,
            dcoeff=self.dcoeff,
            dtmin=self.least,
        )


@dataclass(frozen=True)
class ShARK(_Cautious):
    """For additive noise, strong order 1.5 (Foster et al. 2023): two evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.ShARK()


@dataclass(frozen=True)
class SRA1(_Cautious):
    """For additive noise, strong order 1.5 (Rößler 2010): two evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.SRA1()


@dataclass(frozen=True)
class SPaRK(_Cautious):
    """For any noise, strong order 1.5 where it is additive (Foster et al. 2023): three evaluations a step."""

    def scheme(self) -> diffrax.AbstractSolver:
        """Return it."""
        return diffrax.SPaRK()


@dataclass(frozen=True)
class Diffrax:
    """Any scheme of diffrax whose evaluations can be counted, with any controller that chooses its own first step.

    `steps` is a controller, by default the PID controller of the tolerance. Where it is given, what it says counts
    and the tolerance gives no more than `max_steps`. Raises `InputError` for an implicit scheme.
    """

    method: Any
    steps: Any = None

    def __post_init__(self):
        evaluations(self.method)
        clipped = isinstance(self.steps, diffrax.ClipStepSizeController) and self.steps.jump_ts is not None
        chooses = isinstance(self.steps, diffrax.AbstractStepSizeController | None)
        if clipped or not chooses or isinstance(self.steps, diffrax.ConstantStepSize):
            raise InputError(
                f"steps = {self.steps}: expected a diffrax controller that chooses its first step and knows no "
                "jumps, such as PIDController or, for a fixed grid, StepTo"
            )

    def scheme(self) -> diffrax.AbstractSolver:
        """Return the scheme as it was given."""
        return self.method

    def controller(self, tolerance: Tolerance) -> diffrax.AbstractStepSizeController:
        """Return the controller as it was given, or the tolerance's."""
        return _Proportional().controller(tolerance) if self.steps is None else self.steps


def evaluations(scheme: Any) -> tuple[int, int]:
    """Return how often a scheme evaluates the drift before its first step, and in every step.

    A scheme whose last stage is the first of the next step (FSAL) evaluates the start once and one stage less in every
    step. Raises `InputError` for a scheme whose evaluations depend on what it solves: an implicit one.
    """
    if isinstance(scheme, diffrax.Euler):
        return 0, 1
    if isinstance(scheme, diffrax.AbstractERK) and isinstance(scheme.tableau, diffrax.ButcherTableau):
        stages = scheme.tableau.num_stages
        return (1, stages - 1) if scheme.tableau.fsal else (0, stages)
    if isinstance(scheme, diffrax.AbstractSRK):
        ignored = scheme.tableau.ignore_stage_f
        return 0, len(scheme.tableau.b_sol) - (0 if ignored is None else int(ignored.sum()))
    raise InputError(
        f"{scheme}: its evaluations cannot be counted: expected an explicit (or, for an SDE, stochastic) Runge-Kutta "
        "method of diffrax, such as Tsit5, Dopri8 or ShARK"
    )
