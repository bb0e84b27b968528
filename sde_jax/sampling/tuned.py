"""A sampler of given times and weights: what a tuner finds, or any explicit linear multistep method written out."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from sde_jax.errors import InputError
from sde_jax.pytree import concrete, holds
from sde_jax.sampling.listed import Listed
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


class Values(NamedTuple):
    """The denoiser's values so far: made, how many steps were; clean: [steps, *shape], one for each, 0 for the rest."""

    made: Int[Array, ""]
    clean: Float[Array, "steps ..."]


@dataclass(frozen=True)
class Tuned(FixedGridSolver):
    """x_{n+1} = (sigma_{n+1} / sigma_n) x_n + alpha_{n+1} sum_{k <= n} w_nk D(x_k, tau_k), one evaluation a step.

    times: the grid t_0 > ... > t_N, the only one it goes down; told: tau_0, ..., tau_{N-1}, the times that the
    denoiser is told, each from 0 to 1; weights: row n holds w_n0, ..., w_nn. Every explicit multistep method on the
    clean or the noise estimate is of this form with tau = t, the exponential ones and iPNDM, UniPC with its corrector
    too: a step's earlier x are sums of the same values. Which weights are best depends on the path, the data and the
    grid, and so they hold for none but those that they were found for; no order is claimed. Raises `InputError` where
    the numbers do not fit together.
    """

    times: tuple[float, ...]
    told: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]

    def __post_init__(self):
        if not concrete((self.times, self.told, self.weights)):
            return
        steps = len(self.times) - 1
        rows = [len(row) for row in self.weights]
        if steps < 1 or len(self.told) != steps or rows != [*range(1, steps + 1)]:
            raise InputError(
                f"{len(self.times)} times, {len(self.told)} told and rows of {rows} weights: expected N + 1 times, N "
                "told and rows of 1, 2, ..., N weights"
            )
        numbers = [*self.times, *self.told, *(w for row in self.weights for w in row)]
        within = holds(lambda *t: np.logical_and(np.asarray(t) >= 0, np.asarray(t) <= 1), *self.times, *self.told)
        if not np.all(np.isfinite(numbers)) or not within or not np.all(np.diff(self.times) < 0):
            raise InputError("a tuned sampler: expected falling times and told ones within [0, 1], and finite weights")

    def __repr__(self) -> str:
        """Return how many steps it makes, and from where to where."""
        return f"Tuned({len(self.told)} steps from t = {self.times[0]:g} to {self.times[-1]:g})"

    @property
    def convergence_order(self) -> float:
        """0: there are no finer grids that it could converge on."""
        return 0.0

    @property
    def draws_noise(self) -> bool:
        """No."""
        return False

    @property
    def grid(self) -> Float[np.ndarray, " steps+1"]:
        """Its own times as an array, the grid to sample on."""
        return np.array(self.times)

    @property
    def spacing(self) -> Listed:
        """Its own times."""
        return Listed(self.times)

    def init(self, x: Array, grid: Array) -> Values:
        """Return room for all values; raises `InputError` for another grid than its own."""
        own = np.asarray(self.times) if concrete(self.times) else None
        if len(grid) != len(self.times) or (
            own is not None and concrete(grid) and not np.allclose(np.asarray(grid), own, rtol=1e-5, atol=1e-7)
        ):
            raise InputError(
                f"{self} down a grid of {len(grid) - 1} steps from t = {grid[0]} to {grid[-1]}: expected its own "
                "times, which its weights belong to: solver.grid"
            )
        return Values(jnp.zeros((), int), jnp.zeros((len(self.told), *x.shape), x.dtype))

    def forget(self, state: Values, keep: int = 0) -> Values:
        """Raise `InputError`: without its values there is nothing left to go on with."""
        raise InputError(
            f"{self} inside a sampler that moves x on its own: its weights belong to one trajectory from start to end; "
            "expected another solver there, such as DPMSolverMultistep()"
        )

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Values, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Values]:
        """Carry x from t to s; `key` is not used."""
        made, steps = state.made, len(self.told)
        clean = state.clean.at[made].set(denoise(x, jnp.asarray(self.told)[made]))
        rows = jnp.stack([jnp.pad(jnp.asarray(row), (0, steps - len(row))) for row in self.weights])
        mean = sde.sigma(s) / sde.sigma(t) * x + sde.alpha(s) * jnp.tensordot(rows[made].astype(x.dtype), clean, 1)
        return Step(mean, mean), Values(made + 1, clean)
