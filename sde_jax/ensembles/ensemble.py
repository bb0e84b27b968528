"""Many samples of a posterior, and whether they can be trusted."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from sde_jax.errors import InputError, takes_components
from sde_jax.guidance import Posterior, PosteriorMethod, posterior
from sde_jax.pytree import concrete, in_one_line
from sde_jax.sampling import Solver, churn_of, grids, sample_given, times_of
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key


def calibrated(method: PosteriorMethod, solver: Solver) -> bool:
    """Return whether the spread of samples by a method and a sampler estimates the posterior's.

    It does from the method's `least_churn` on; otherwise samples are point estimates.
    """
    return churn_of(solver) >= method.least_churn


FRAMES = 5
"""Times of a trajectory at which the linear system is looked at."""


@in_one_line
class Ensemble(NamedTuple):
    """Samples of posteriors: [n, ...], or [k, m, ...] where m members are of each of k measurements.

    members: [..., *shape]; evaluations: [...], forward calls of the denoiser; unsolved: [..., frames], the relative
    residual of the method's linear system at times along each member's trajectory; no frames for a method without one.
    """

    members: Float[ArrayLike, "..."]
    evaluations: Int[ArrayLike, "..."]
    unsolved: Float[ArrayLike, "..."]

    def grouped(self, count: int) -> "Ensemble":
        """Return samples [n] as [n / count, count]: consecutive ones are members of one posterior."""
        return Ensemble(*(a.reshape(len(a) // count, count, *a.shape[1:]) for a in map(np.asarray, self)))

    @property
    def mean(self) -> Float[np.ndarray, "k ..."]:
        """The mean over the members of each of k posteriors."""
        return np.mean(self.members, 1)

    @property
    def deviation(self) -> Float[np.ndarray, "k ..."]:
        """The standard deviation over the members of each of k posteriors; NaN of a single one."""
        members = np.asarray(self.members)
        return np.std(members, 1, ddof=1) if members.shape[1] > 1 else np.full_like(members[:, 0], np.nan)

    def flags(self, method: PosteriorMethod, solver: Solver) -> "Flags":
        """Return what must be known of samples drawn by `method` and `solver`."""
        unsolved, members = np.asarray(self.unsolved), np.asarray(self.members)
        over = np.count_nonzero(unsolved > method.tolerance) / max(unsolved.size, 1)
        broken = ~np.isfinite(members).reshape(*np.shape(self.evaluations), -1).all(-1)
        worst = float(np.max(unsolved, initial=0))
        return Flags(over, worst, method.tolerance, int(broken.sum()), not calibrated(method, solver))


@dataclass(frozen=True)
class Flags:
    """What must be known of an ensemble.

    unsolved: the share of linear systems that were left above `tolerance`, of those looked at; worst: their largest
    relative residual; not_finite: members with NaN or infinity; point_estimates: whether the spread by this method and
    sampler does not estimate the posterior's.
    """

    unsolved: float
    worst: float
    tolerance: float
    not_finite: int
    point_estimates: bool

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each."""
        if self.point_estimates:
            yield "point estimates: how far samples of this method by this sampler spread is not the posterior's width"
        yield from self.unsolved_warnings()
        if self.not_finite:
            yield f"{self.not_finite} samples hold NaN or infinity"

    def unsolved_warnings(self) -> Iterator[str]:
        """Yield a sentence where linear systems were left unsolved."""
        if self.unsolved:
            yield (
                f"{100 * self.unsolved:.3g}% of the linear systems looked at were left with a relative residual above "
                f"{self.tolerance:g}, at worst {self.worst:.2g}: raise the method's iterations (on the command line "
                "--config.method.iterations); where that does not help, as the network's Jacobian is no covariance, "
                "compare with PiGDM"
            )


@takes_components
def draw(
    keys: Key,
    measurements: Any,
    method: PosteriorMethod,
    solver: Solver,
    sde: GaussianPath,
    denoise: Denoiser,
    grid: ArrayLike,
    shape: tuple[int, ...],
    frames: int = FRAMES,
) -> Ensemble:
    """Draw one sample for each of `keys` [n], of the posterior given its own measurement.

    measurements: a `Measurement`, or a tuple of several sources, of which every leaf is [n, ...]: traced arrays, so
    that no other measurement of these shapes compiles anything. grid: times, or a number of steps, as `sample` takes
    it. frames: how many times of the grid the linear system is looked at, at most. Outside `jax.jit` it warns where
    systems were left unsolved; inside, `Ensemble.flags` tells.
    Raises `InputError` as `guidance.posterior` and `sampling.sample_given` do.
    """
    times = jnp.asarray(times_of(grid, solver, sde))
    kept = min(frames, len(times)) if method.tolerance else 0
    of = lambda given: posterior(denoise, sde, given, method, shape)  # noqa: E731
    samples = sample_given(keys, measurements, solver, sde, of, times, shape, kept)
    at = times[grids.frames_of(len(times) - 1, kept)]

    def unsolved(given: Any, trajectory: Array) -> Array:
        denoiser: Posterior = of(given)
        return jax.vmap(lambda x, t: denoiser.corrected(sde.from_data(x), t).unsolved)(trajectory, at)

    left = jax.vmap(unsolved)(measurements, samples.trajectory) if kept else jnp.zeros((len(keys), 0))
    found = Ensemble(samples.x, samples.evaluations, left)
    if concrete(found) and (flags := found.flags(method, solver)).unsolved:
        warnings.warn(f"{method}: {next(flags.unsolved_warnings())}", stacklevel=2)
    return found


@takes_components
def drawn(
    key: Key,
    count: int,
    measurements: Any,
    method: PosteriorMethod,
    solver: Solver,
    sde: GaussianPath,
    denoise: Denoiser,
    grid: ArrayLike,
    shape: tuple[int, ...],
) -> Ensemble:
    """Draw `count` members for each of k measurements, [k, count, ...], in one batch.

    measurements: as in `draw`, of leaves [k, ...]. Member j of measurement i is a function of `key`, i and j. Raises
    `InputError` as `draw` does, and for a count below 1.
    """
    if count < 1:
        raise InputError(f"{count} members: expected 1 or more of each measurement")
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(measurements)}
    if len(sizes) != 1 or () in sizes:
        raise InputError(f"measurements of leading sizes {sorted(sizes)}: expected [k, ...] of every array, one k")
    ((k,),) = sizes
    index, member = np.divmod(np.arange(k * count), count)
    fold = jax.vmap(lambda i, j: jax.random.fold_in(jax.random.fold_in(key, i), j))
    given = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], measurements)
    return draw(fold(index, member), given, method, solver, sde, denoise, grid, shape).grouped(count)
