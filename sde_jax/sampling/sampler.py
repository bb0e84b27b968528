"""A solver with its grid: what a run names and draws with."""

from dataclasses import dataclass, field

import numpy as np

from sde_jax.errors import InputError, takes_components
from sde_jax.sampling.grids import Spacing
from sde_jax.sampling.recommended import END, Recommended, recommended_grid
from sde_jax.sampling.solver import Solver
from sde_jax.sde import GaussianPath


@takes_components
@dataclass(frozen=True)
class Sampler:
    """A solver on the grid that `spacing` makes of `steps` and `end`, from t = 1 down.

    Unless a spacing is named it is the one that is recommended for the solver. Unless an end is named it is the
    recommended one too, and 1e-3 with a spacing that is named. An adaptive solver makes steps of its own between the
    grid's ends. Raises `InputError` out of range.
    """

    solver: Solver
    steps: int = 1000
    end: float | None = None
    spacing: Spacing = field(default_factory=Recommended)

    def __post_init__(self):
        if self.steps < 1:
            raise InputError(f"steps = {self.steps}: expected 1 or more")
        if self.end is not None and not 0 <= self.end < 1:
            raise InputError(f"end = {self.end}: expected 0 <= end < 1")

    def grid(self, sde: GaussianPath) -> np.ndarray:
        """Return the times, [steps + 1]; raises `InputError` where there is no such grid on this path."""
        if isinstance(self.spacing, Recommended):
            return recommended_grid(self.solver, sde, self.steps, self.end)
        return self.spacing.times(sde, self.steps, END if self.end is None else self.end)
