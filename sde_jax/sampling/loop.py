"""The one sampling function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float, Int

from sde_jax.checks import finite
from sde_jax.errors import InputError, whole
from sde_jax.prediction import check_denoiser, moved, require_score
from sde_jax.pytree import in_one_line
from sde_jax.sampling.grids import frames_of
from sde_jax.sampling.recommended import times_of
from sde_jax.sampling.solver import Solution, Solver, check_solver, churn_of, draws_noise
from sde_jax.sde import Centred, GaussianPath, require_falling, state_of
from sde_jax.typing import Array, Denoiser, Key


@in_one_line
class Samples(NamedTuple):
    """Samples of a model.

    x: [n, *shape]; evaluations: [n], denoiser calls spent on each sample; trajectory: [n, frames, *shape], each
    sample at `frames` times of the grid, those that `grids.frames_of(steps, frames)` chooses.
    """

    x: Float[Array, "n ..."]
    evaluations: Int[Array, " n"]
    trajectory: Float[Array, "n frames ..."]


SAMPLES = "samples"
"""The name of the axis that `sample` lifts over, for official behaviour that depends on the batch."""


def sample(
    keys: Key,
    solver: Solver,
    sde: GaussianPath,
    denoise: Denoiser,
    grid: ArrayLike,
    shape: tuple[int, ...],
    frames: int = 0,
) -> Samples:
    """Draw one sample of `shape` for each of `keys` [n] by carrying prior noise down the grid.

    grid: times that fall within [0, 1], or a number of steps, which go down the grid that is `recommended` for the
    solver on the path.
    A sample is a function of its own key alone: neither the number of samples nor of devices changes it.
    `shape` is that of the state; a path with coordinates of its own returns samples in those of the data.
    Raises as `transport` does.
    """
    return sample_given(keys, (), solver, sde, lambda _: denoise, grid, shape, frames)


def sample_given(
    keys: Key,
    given: Any,
    solver: Solver,
    sde: GaussianPath,
    denoiser_of: Callable[[Any], Denoiser],
    grid: ArrayLike,
    shape: tuple[int, ...],
    frames: int = 0,
    path_of: Callable[[Any], GaussianPath] | None = None,
) -> Samples:
    """Draw as `sample`, each by a denoiser of its own: `denoiser_of` what is given for it.

    given: a pytree of arrays [n, ...], such as the labels of the samples; path_of: each's path, which differs from
    `sde` in its offset and prior alone, such as in the mean that it reverts to. Raises `InputError` too where there is
    not one for each key.
    """
    check_solver(solver)
    times = times_of(grid, solver, sde)
    require_falling(sde)
    check_shape(shape)
    check_keys(keys)
    if any(jnp.shape(leaf)[:1] != keys.shape[:1] for leaf in jax.tree.leaves(given)):
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(given)]
        raise InputError(f"given arrays of shapes {shapes} for {len(keys)} keys: expected one each: [{len(keys)}, ...]")
    first = denoiser_of(jax.tree.map(lambda leaf: leaf[0], given))
    check_denoiser(first, shape)
    check_law(solver, first)
    check_ends(solver, sde, times)
    _told(first, solver)

    def one(key: Key, given: Any) -> Samples:
        path, (prior, noise) = sde if path_of is None else path_of(given), jax.random.split(key)
        start = path.prior_sample(prior, shape)
        x, evaluations, trajectory = _carry(noise, solver, path, denoiser_of(given), start, times, frames)
        return Samples(path.to_data(x), evaluations, jax.vmap(path.to_data)(trajectory))

    return jax.vmap(one, axis_name=SAMPLES)(keys, given)


def transport(
    key: Key, solver: Solver, sde: GaussianPath, denoise: Denoiser, x: Array, grid: ArrayLike, frames: int = 0
) -> Solution:
    """Carry ONE x from grid[0] to grid[-1]: lift a batch with `jax.vmap`. `key` is the source of all noise.

    grid: as in `sample`; of a number of steps grid[0] = 1.
    Raises `InputError` for a grid that does not fall within [0, 1], a path whose log-SNR does not fall, a denoiser
    that changes shape or type; raises, when the result is computed, for an x that is not finite and for a result
    that is not, and where an adaptive solver does not reach its tolerance.
    """
    check_solver(solver)
    times, x = times_of(grid, solver, sde), state_of(sde, x)
    require_falling(sde)
    check_denoiser(denoise, x.shape)
    check_law(solver, denoise)
    check_ends(solver, sde, times)
    _told(denoise, solver)
    return _carry(key, solver, sde, denoise, x, times, frames)


def _carry(
    key: Key, solver: Solver, sde: GaussianPath, denoise: Denoiser, x: Array, grid: Array, frames: int
) -> Solution:
    start = finite(x - sde.offset(grid[0]), "the start of a trajectory holds NaN or infinity: expected finite numbers")
    centred = moved(denoise, lambda y, t: (y + sde.offset(t), t))
    y, evaluations, trajectory = solver.solve(key, start, grid, frames, sde=Centred(sde), denoise=centred)
    y = finite(
        y,
        f"{type(solver).__name__} on {type(sde).__name__} came to NaN or infinity. Where f and g are infinite (t = 1 "
        "if alpha is 0 there, t = 0 if sigma is) let the grid start or end inside, or take an exponential sampler; "
        "otherwise take more steps, or look at the denoiser: a posterior's is NaN where its method explodes",
    )
    times = jnp.asarray(grid)[frames_of(len(grid) - 1, frames)]
    trajectory = jax.vmap(lambda y, t: y + sde.offset(t))(trajectory, times)
    return Solution(y + sde.offset(grid[-1]), evaluations, trajectory)


def _told(denoise: Denoiser, solver: Solver) -> None:
    """Let a denoiser whose law depends on the sampler hear by which it is sampled: what has `sampled_at(churn)`."""
    if hear := getattr(denoise, "sampled_at", None):
        hear(churn_of(solver))


def check_ends(solver: Solver, sde: GaussianPath, grid: Array) -> None:
    """Raise `InputError` where a solver says that it cannot go down this grid on this path."""
    check = getattr(solver, "check", None)
    if check is not None:
        check(sde, grid)


def check_law(solver: Solver, denoise: Denoiser) -> None:
    """Raise `InputError` for a solver that draws noise by a denoiser that is known to give no score."""
    if draws_noise(solver):
        require_score(f"{type(solver).__name__}, which draws noise", denoise)


def check_keys(keys: Key) -> None:
    """Raise `InputError` unless there is one key a sample: a list of keys as `jax.random.split` returns it."""
    old = getattr(keys, "dtype", None) == jnp.uint32
    if not old and not jnp.issubdtype(getattr(keys, "dtype", None) or object, jax.dtypes.prng_key):
        raise InputError(f"keys = {keys!r}: expected random keys [n], such as jax.random.split(jax.random.key(0), n)")
    if keys.ndim - old != 1:
        raise InputError(f"keys of shape {keys.shape}: expected [n], one key a sample: jax.random.split(key, n)")
    if len(keys) == 0:
        raise InputError("no keys: expected one or more, one key a sample")


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless `shape` is one of an array."""
    if not isinstance(shape, tuple | list) or not all(whole(n, 0) for n in shape):
        raise InputError(f"shape = {shape}: expected the shape of one sample, such as (2,)")
