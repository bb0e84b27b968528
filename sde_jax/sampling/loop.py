"""The one sampling function, and the one scan of every sampler with a fixed grid."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int

from sde_jax.errors import InputError, whole
from sde_jax.ode import finite
from sde_jax.prediction import check_denoiser, moved, require_score
from sde_jax.pytree import in_one_line
from sde_jax.sampling.grids import LogSNR, Spacing, checked, frames_of
from sde_jax.sde import Centred, GaussianPath, require_falling, state_of
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class Solution(NamedTuple):
    """One example carried down a grid.

    x: its final value; evaluations: how often the denoiser was called for it; trajectory: [frames, *shape], its
    value at the times `grids.frames_of` chooses.
    """

    x: Array
    evaluations: Int[Array, ""]
    trajectory: Array


class Solver(Protocol):
    """Anything that carries one x down a grid of times; every sampler is one."""

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Carry x from grid[0] to grid[-1], keeping its value at `frames` times of the grid."""
        ...


MOVED = 2
"""How many earlier values a multistep method may use at a time at which x was moved. There is noise between them then,
which extrapolation amplifies: by 3.7 through three values in all, by 6.7 through four (Adams-Bashforth)."""


@in_one_line
class Step(NamedTuple):
    """One step: x, its mean given where the step started (x without the noise drawn in this step), denoiser calls."""

    x: Array
    mean: Array
    evaluations: Int[Array, ""] | int = 1


@dataclass(frozen=True)
class FixedGridSolver(abc.ABC):
    """A solver that makes one step between neighbouring times of the grid; a new one states `step`.

    With `noise_free` the last step's mean is kept rather than its noisy value, since no later step would remove
    that noise (Song et al. 2021, appendix G).
    """

    noise_free: bool = field(default=True, kw_only=True)

    @property
    def convergence_order(self) -> float:
        """The order claimed on a smooth problem: the weak order where noise is drawn."""
        return 1.0

    @property
    def draws_noise(self) -> bool:
        """Whether a step draws noise; where it does not, x itself converges, and not its distribution alone."""
        return True

    @property
    def effective_churn(self) -> float:
        """The churn of the reverse process that a step follows: 0 for the flow, 1 for Anderson's, inf for fresh noise.

        By default that of the `solver` it wraps, or its own `churn`; for one with neither 1 where noise is drawn.
        """
        part = getattr(self, "solver", None)
        if isinstance(part, FixedGridSolver):
            return part.effective_churn
        return getattr(self, "churn", float(self.draws_noise))

    @property
    def spacing(self) -> Spacing:
        """The grid that the order is claimed on."""
        return LogSNR()

    def init(self, x: Array, grid: Array) -> Any:
        """Return the state that is carried from step to step down `grid`; () where there is none.

        Raises `InputError` for a grid that the method cannot use.
        """
        return ()

    def check(self, sde: GaussianPath, grid: Array) -> None:  # noqa: B027
        """Raise `InputError` where the method cannot start where the grid does on this path, or end where it does.

        See `ends.py`. A solver that wraps another one passes this on.
        """

    def forget(self, state: Any, keep: int = 0) -> Any:
        """Return the state with which to go on from an x that something else than `step` moved.

        A solver with a memory keeps at most the last `keep` values: none where x was carried to another time, for
        they belong to another trajectory; `MOVED` where it was moved at its time. A solver that wraps another one
        passes this on. Raises `InputError` for a state unless the solver says what becomes of it.
        """
        if jax.tree.leaves(state):
            raise InputError(
                f"{type(self).__name__} carries a state from step to step and does not say what is left of it once x "
                "was moved by something else, such as a corrector or a restart: expected a method `forget(state, keep)`"
            )
        return state

    @abc.abstractmethod
    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s < t."""

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Scan `step` over the grid; step n draws from the key folded with n."""
        steps = len(grid) - 1
        # What is not kept goes to a slot after the last frame, which is left out in the end.
        slot = np.full(steps + 1, frames)
        slot[frames_of(steps, frames)] = np.arange(frames)

        def body(carry, inputs):
            x, _, state, trajectory, evaluations = carry
            n, t, s, slot = inputs
            step, state = self.step(jax.random.fold_in(key, n), x, t, s, state, sde=sde, denoise=denoise)
            trajectory = trajectory.at[slot].set(step.x)
            return (step.x, step.mean, state, trajectory, evaluations + step.evaluations), None

        trajectory = jnp.zeros((frames + 1, *x.shape), x.dtype).at[slot[0]].set(x)
        start = (x, x, self.init(x, grid), trajectory, jnp.zeros((), int))
        inputs = (jnp.arange(steps), grid[:-1], grid[1:], slot[1:])
        (last, mean, _, trajectory, evaluations), _ = jax.lax.scan(body, start, inputs)
        final = mean if self.noise_free else last
        trajectory = trajectory.at[slot[-1]].set(final)
        return Solution(final, evaluations, trajectory[:frames])


def draws_noise(solver: object) -> bool:
    """Return whether a solver draws noise, which asks for the score; one that does not say so does."""
    found = getattr(solver, "draws_noise", True)
    return found if isinstance(found, bool) else True  # of a traced churn it is not known


def check_steps(owner: object, solver: object) -> None:
    """Raise `InputError` unless `solver`, a part of `owner`, makes steps."""
    if not isinstance(solver, FixedGridSolver):
        raise InputError(f"{type(owner).__name__} of {solver!r}: expected a solver with a fixed grid, such as DDIM()")


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
    times = checked(grid)
    check_solver(solver)
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

    Raises `InputError` for a grid that does not fall within [0, 1], a path whose log-SNR does not fall, a denoiser
    that changes shape or type; raises, when the result is computed, for an x that is not finite and for a result
    that is not, and where an adaptive solver does not reach its tolerance.
    """
    times, x = checked(grid), state_of(sde, x)
    check_solver(solver)
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


def churn_of(solver: Solver) -> float:
    """Return the churn of the reverse process that a solver follows, see `FixedGridSolver.effective_churn`."""
    return getattr(solver, "effective_churn", getattr(solver, "churn", 0.0))


def _told(denoise: Denoiser, solver: Solver) -> None:
    """Let a denoiser whose law depends on the sampler hear by which it is sampled: what has `sampled_at(churn)`."""
    if hear := getattr(denoise, "sampled_at", None):
        hear(churn_of(solver))


def check_solver(solver: Solver) -> None:
    """Raise `InputError` for what is no solver."""
    if isinstance(solver, type) or not hasattr(solver, "solve"):
        raise InputError(f"solver = {solver!r}: expected a solver, such as DDIM()")


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
