"""Editing: data carried up to some time, moved there, and carried down again."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from sde_jax.checks import finite
from sde_jax.errors import InputError, takes_components, whole
from sde_jax.prediction import check_denoiser, moved, require_score, score_of
from sde_jax.pytree import concrete, known
from sde_jax.sampling.ddim import DDIM
from sde_jax.sampling.grids import checked
from sde_jax.sampling.latent import Coded
from sde_jax.sampling.loop import check_ends, transport
from sde_jax.sampling.recommended import clean_time, times_of
from sde_jax.sampling.solver import FixedGridSolver, Solver, draws_noise
from sde_jax.sde import Centred, GaussianPath, require_falling, state_of
from sde_jax.sde.path import path
from sde_jax.typing import Array, Denoiser, Key, Time


@path
class Interval:
    """Where an x_t of data in [low, high] is expected: [b + alpha low - k sigma, b + alpha high + k sigma].

    Confidence-interval clipping (CODE, arXiv 2408.12418). Every number of an x_t lies there with a probability of
    2 Phi(k) - 1 or more. low, high: in the units of x_0, numbers or arrays that broadcast against x, `around` of one
    anchor the same array; deviations: k. Raises `InputError` for numbers unless low < high, and unless k > 0.
    """

    low: Array | float = -1.0
    high: Array | float = 1.0
    deviations: Array | float = 2.0

    def __post_init__(self):
        if known(self.low, self.high) and not self.low < self.high:
            raise InputError(f"data in [{self.low}, {self.high}]: expected low < high")
        if known(self.deviations) and not self.deviations > 0:
            raise InputError(f"deviations = {self.deviations}: expected more than 0, such as 2")

    @classmethod
    def around(cls, anchor: Array, deviations: Array | float = 2.0) -> "Interval":
        """Return the interval b + alpha anchor +- k sigma of one x_0."""
        return cls(anchor, anchor, deviations)

    def clipped(self, x: Array, t: Time, sde: GaussianPath) -> Array:
        """Return the nearest point of the interval at t, of an x within it x itself."""
        alpha, b, margin = sde.alpha(t), sde.offset(t), self.deviations * sde.sigma(t)
        return jnp.clip(x, b + alpha * self.low - margin, b + alpha * self.high + margin)


def langevin(
    key: Key, sde: GaussianPath, denoise: Denoiser, x: Array, t: Time, *, step: float = 0.1, count: int = 20
) -> Array:
    """Return ONE x after `count` Langevin moves at t, x <- x + e score + sqrt(2 e) z, the last of them without noise.

    e = step sigma^2: on a Gaussian of variance V >= sigma^2 the moves have the variance V / (1 - e / (2 V)) and are
    stable for e < 2 V. Calls the denoiser `count` times. Raises `InputError` unless 0 <= step < 2 and count >= 0.
    """
    if not whole(count, 0) or (known(step) and not 0 <= step < 2):
        raise InputError(
            f"step = {step}, count = {count}: expected 0 <= step < 2, from where on moves grow without end, and "
            "a whole count >= 0"
        )
    score, e = score_of(denoise, sde), step * sde.variance(t)

    def move(x: Array, inputs: tuple[Key, Array]) -> tuple[Array, None]:
        key, noisy = inputs
        return x + e * score(x, t) + noisy * jnp.sqrt(2 * e) * sde.noise(key, x.shape, x.dtype), None

    return jax.lax.scan(move, x, (jax.random.split(key, count), jnp.arange(count) < count - 1))[0]


def inverted(
    sde: GaussianPath,
    denoise: Denoiser,
    x: Array,
    grid: ArrayLike,
    *,
    solver: FixedGridSolver | None = None,
    interval: Interval | None = None,
) -> Coded:
    """Return ONE x(grid[-1]) carried UP a falling grid to grid[0] by the steps of a solver without noise.

    DDIM's inversion (Song, Meng & Ermon 2021, section 4.3): its step with s > t, unchanged. With an `interval` x is
    clipped to it after every step. A grid of a number of steps starts at 1 and ends where noise is a hundredth of
    the signal. Raises `InputError` as `transport` does, for a solver that draws noise and for a grid that ends at 0,
    where the noise to start from has no direction.
    """
    solver = DDIM() if solver is None else solver
    times, x = _above_data(grid, solver, sde), state_of(sde, x)
    require_falling(sde)
    check_denoiser(denoise, x.shape)
    if not isinstance(solver, FixedGridSolver) or draws_noise(solver):
        raise InputError(f"{solver!r} to encode with: expected a solver with a fixed grid and without noise, as DDIM()")
    if concrete(times) and times[-1] <= 0:
        raise InputError(f"a grid that ends at {times[-1]:g}: expected to start to encode above 0, such as at 1e-3")
    check_ends(solver, sde, times[::-1])
    centred, up = Centred(sde), jnp.asarray(times)[::-1]
    denoise = moved(denoise, lambda y, t: (y + sde.offset(t), t))
    start = finite(x - sde.offset(up[0]), "what is to be edited holds NaN or infinity: expected finite numbers")

    def body(carry, inputs):
        (y, state, evaluations), (t, s) = carry, inputs
        step, state = solver.step(jax.random.key(0), y, t, s, state, sde=centred, denoise=denoise)
        y = step.mean if interval is None else interval.clipped(step.mean, s, centred)
        return (y, state, evaluations + step.evaluations), None

    first = (start, solver.init(start, times[::-1]), jnp.zeros((), int))
    (y, _, evaluations), _ = jax.lax.scan(body, first, (up[:-1], up[1:]))
    y = finite(y, f"{type(solver).__name__} on {type(sde).__name__} came to NaN or infinity on the way up")
    return Coded(y + sde.offset(up[-1]), evaluations)


@takes_components
def sdedit(key: Key, solver: Solver, sde: GaussianPath, denoise: Denoiser, data: Array, grid: ArrayLike) -> Coded:
    """Return ONE example noised to grid[0] and carried down the grid: SDEdit (Meng et al. 2022, algorithm 1).

    The later grid[0], the more is forgotten: strokes and pasted parts become natural, and less faithful. Therefore
    the grid is one of times. Raises as `transport` does.
    """
    noise, moves = jax.random.split(key)
    require_score("sdedit", denoise)
    x, _ = sde.perturb(noise, sde.from_data(data), checked(grid)[0])
    solution = transport(moves, solver, sde, denoise, x, grid)
    return Coded(sde.to_data(solution.x), solution.evaluations)


@takes_components
def edit(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    data: Array,
    grid: ArrayLike,
    *,
    step: float = 0.1,
    count: int = 20,
    interval: Interval | None = None,
    solver: FixedGridSolver | None = None,
) -> Coded:
    """Return ONE example encoded up the grid, moved at grid[0] towards likelier ones, and decoded: CODE.

    arXiv 2408.12418: `inverted` with clipping to `interval`, `count` moves of `langevin`, the probability flow down by
    `solver`, DDIM unless given. How far x moves (step, count) does not depend on how much is forgotten (grid[0]).
    Without moves and clipping the example comes back, up to the solver's error. `encode` and `decode` with `end` are
    the adaptive way up and down. Raises as these do.
    """
    solver = DDIM() if solver is None else solver
    times = _above_data(grid, solver, sde)
    up = inverted(sde, denoise, sde.from_data(data), times, solver=solver, interval=interval)
    x = langevin(key, sde, denoise, up.x, times[0], step=step, count=count)
    down = transport(key, solver, sde, denoise, x, times)
    return Coded(sde.to_data(down.x), up.evaluations + count + down.evaluations)


def _above_data(grid: ArrayLike, solver: Solver, sde: GaussianPath) -> Array:
    """Return the times of a grid, which of a number of steps end above the data."""
    return times_of(grid, solver, sde, end=clean_time(sde) or 1e-3)
