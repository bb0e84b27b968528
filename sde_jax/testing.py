"""The laws that the parts of this library are held to, public so that a user's own parts can be held to them.

    check_sde(MySDE())                   the forward SDE is the one that its two functions state
    check_solver(MySolver(), order=1)    the sampler converges to the right distribution, as fast as it claims

Each raises `AssertionError` with a sentence that names the law, where it fails and the numbers. All is computed in
float64, and nothing is random: the same part passes or fails every time.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import random as extension
from jaxtyping import ArrayLike, Float

from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.sampling import FixedGridSolver, Step
from sde_jax.sde import VP, GaussianPath
from sde_jax.typing import Array, Time

TIMES = np.array([0.0, 1e-5, 1e-3, 0.01, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
DRAWS = 4096
SLACK = 1e-8


def check_sde(sde: GaussianPath, kinks: Sequence[float] | np.ndarray = ()) -> None:
    """Hold a path to the laws of the process x_t | x_0 ~ N(alpha x_0, sigma^2 I) and dx = f x dt + g dw.

    1. log(alpha / sigma) falls strictly, and `time_of` inverts it (where the schedule is a scalar).
    2. Chapman-Kolmogorov: for r < s < t, a_rt = a_st a_rs and q_rt^2 = a_st^2 q_rs^2 + q_st^2 for the transitions
       x_t | x_s ~ N(a_st x_s, q_st^2); the marginals compose alike, sigma_t^2 = a_st^2 sigma_s^2 + q_st^2.
    3. The transitions solve the SDE: a_st = exp(int_s^t f du), q_st^2 = int_s^t a_ut^2 g^2 du. f and g^2 are finite
       at t = 0, and g^2 >= 0 everywhere.
    4. `perturb` returns alpha x_0 + sigma eps with the eps it returns, whose mean is 0 and variance 1.
    5. `prior_log_prob` is the log-density of N(0, prior_variance), of which `prior_sample` draws.

    `kinks` are the times in (0, 1) at which f or g is not smooth, where the integrals of the third law are divided.
    """
    with jax.enable_x64(True):
        for hold in (_hold_signal_to_noise, _hold_transitions, _hold_perturb, _hold_prior):
            hold(sde)
        _hold_rates(sde, np.union1d(TIMES, kinks))


def check_solver(
    solver: FixedGridSolver,
    order: float,
    sde: GaussianPath | None = None,
    *,
    steps: Sequence[int] = (32, 64, 128, 256),
    end: float = 0.1,
    tolerance: float = 0.15,
) -> None:
    """Hold a sampler to the order it claims, on `sde` (by default VP).

    On Gaussian data, from the exact distribution at t = 1, the error of the mean and covariance at t = `end` falls
    like steps^-order on uniform grids: for an SDE solver this is its weak order. The moments are computed exactly
    (see `moments`), and the slope is measured over all of `steps`, each the double of the one before.
    """
    mean, covariance = np.array([0.5, -1.0]), np.array([[0.4, 0.1], [0.1, 0.2]])
    sde = VP() if sde is None else sde
    exact = marginal(sde, mean, covariance, end)
    errors = []
    for reached in moments(solver, sde, mean, covariance, [np.linspace(1.0, end, n + 1) for n in steps]):
        differences = [np.linalg.norm(ours - theirs) for ours, theirs in zip(reached, exact, strict=True)]
        errors.append(float(sum(differences)))
    slope = np.log(errors[0] / errors[-1]) / np.log(steps[-1] / steps[0])
    if not abs(slope - order) <= tolerance:
        listed = ", ".join(f"{error:.2g} in {n} steps" for error, n in zip(errors, steps, strict=True))
        raise AssertionError(f"{solver} on {sde} has order {slope:.2f}, not {order:g}: the moments err by {listed}")


class Moments(NamedTuple):
    """The mean [n] and the covariance [n, n] of a random x of n numbers."""

    mean: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]


def marginal(sde: GaussianPath, mean: ArrayLike, covariance: ArrayLike, t: float) -> Moments:
    """Return the exact moments at t of data from N(mean, covariance): alpha mean, alpha^2 covariance + sigma^2 I."""
    with jax.enable_x64(True):
        alpha, variance = np.array(sde.alpha(t)), np.array(sde.variance(t))
    return Moments(alpha * np.array(mean), alpha**2 * np.array(covariance) + variance * np.eye(np.size(mean)))


def moments(
    solver: FixedGridSolver,
    sde: GaussianPath,
    mean: ArrayLike,
    covariance: ArrayLike,
    grids: Sequence[Float[np.ndarray, " steps+1"]],
    start: Moments | None = None,
) -> list[Moments]:
    """Return the moments of the solver's x at the end of each grid, for data from N(mean, covariance), exactly.

    On Gaussian data the denoiser is affine, so x is affine in the numbers that are drawn: x = c + sum_j G_j z_j, with
    mean c and covariance sum_j G_j G_j^T. c is the run in which every z is 0 and G_j comes from the one in which z_j
    alone is not: runs with keys of a generator of our own (`_generator`), so that neither how often the solver draws
    nor how it splits its keys matters. The z are the coordinates of the start, which is exact at grid[0] unless given,
    and every normal draw of every step. The noise of the last step is kept, whatever `noise_free` says.
    Raises `AssertionError` where a key is drawn from twice and where x is not affine in the draws.
    """
    with jax.enable_x64(True):
        denoise = GaussianDenoiser(sde, mean, covariance)

        def advance(key: Array, n: Array, x: Array, t: Time, s: Time, state: Any) -> tuple[Step, Any]:
            return solver.step(jax.random.fold_in(key, n), x, t, s, state, sde=sde, denoise=denoise)

        nothing = [_NOWHERE] * np.size(mean)
        wanted = [_NOWHERE, *nothing, *_draws(advance, solver.init, len(nothing), max(grids, key=len)), _EVERYWHERE]
        keys = jax.random.wrap_key_data(jnp.pad(jnp.array(wanted, jnp.uint32), ((0, 0), (2, 0))), impl=_generator())
        together = jax.jit(jax.vmap(advance, (0, None, 0, None, None, 0)))
        firsts = [marginal(sde, mean, covariance, grid[0]) if start is None else start for grid in grids]
        return [_moments(together, solver.init, keys, *inputs) for inputs in zip(grids, firsts, strict=True)]


def _moments(together: Callable, init: Callable, keys: Array, grid: np.ndarray, start: Moments) -> Moments:
    """Return the moments at the end of one grid, from the runs of all `keys` down it."""
    root, unit = np.linalg.cholesky(start.covariance).T, float(jax.random.normal(keys[-1]))
    x = np.tile(start.mean, (len(keys), 1))
    x[1 : len(root) + 1] += unit * root
    x[-1] += unit * root.sum(0)
    x, state = jnp.asarray(x), jax.vmap(lambda x: init(x, grid))(x)
    for n, (t, s) in enumerate(pairwise(grid)):
        (x, *_), state = together(keys, n, x, t, s, state)
    _, columns, every = np.split(np.array(x - x[0]), [1, len(x) - 1])
    affine = np.allclose(columns.sum(0), every[0], rtol=1e-6, atol=1e-9 * np.abs(x).max())
    assert affine, "the sampler is not affine in its normal draws on Gaussian data: its moments are not known exactly"
    return Moments(np.array(x[0]), columns.T @ columns / unit**2)


_NOWHERE, _EVERYWHERE = [0, 0, 2**32 - 2], [0, 0, 2**32 - 1]


def _generator(record: Callable[..., None] | None = None) -> Hashable:
    """Return a generator whose keys follow paths of their own and whose draws are chosen.

    A key's five words are the two of its path, then the path and the coordinate of the one number wanted. A uniform
    draw is 3/4 there and 1/2 elsewhere, so that a normal one is 0.67 there and 0 elsewhere.
    """

    def child(key: Array, n: Array) -> Array:
        word = key[:2] + (n.astype(jnp.uint32)[..., None] + 1) * jnp.uint32([0x9E3779B1, 0x85EBCA77])
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
            word = (word ^ (word >> shift)) * jnp.uint32(factor)
        return jnp.concatenate([word, jnp.broadcast_to(key[2:], (*word.shape[:-1], 3))], -1)

    def bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
        coordinates = jnp.arange(math.prod(shape)).reshape(shape)
        if record is not None:
            jax.debug.callback(record, key[:2], coordinates)
        here = jnp.all(key[:2] == key[2:4]) & (coordinates == key[4])
        kind = jnp.dtype(f"uint{width}").type
        return jnp.where(here | (key[4] == _EVERYWHERE[-1]), kind(3 << (width - 2)), kind(1 << (width - 1)))

    return extension.define_prng_impl(
        key_shape=(5,),
        seed=lambda seed: jnp.zeros(5, jnp.uint32),
        split=lambda key, shape: child(key, 2**16 + jnp.arange(math.prod(shape)).reshape(shape)),
        fold_in=lambda key, n: child(key, jnp.asarray(n)),
        random_bits=bits,
    )


def _draws(advance: Callable, init: Callable, size: int, grid: np.ndarray) -> list[list[int]]:
    """Return the path and the coordinate of every number drawn on the way down a grid."""
    drawn: list[tuple[int, ...]] = []

    def record(path: Array, coordinates: Array) -> None:
        drawn.extend((*map(int, path), int(i)) for i in np.ravel(coordinates))

    key = jax.random.wrap_key_data(jnp.array([0, 0, *_NOWHERE], jnp.uint32), impl=_generator(record))
    x, steps = jnp.ones(size), (jnp.arange(len(grid) - 1), jnp.array(grid[:-1]), jnp.array(grid[1:]))
    jax.lax.map(lambda step: advance(key, step[0], x, *step[1:], init(x, grid))[0].x, steps)
    jax.effects_barrier()
    assert len(set(drawn)) == len(drawn), "the sampler draws from one key twice, which makes its draws dependent"
    return [list(draw) for draw in drawn]


@partial(jax.jit, static_argnames="name")
def _lifted(sde: GaussianPath, name: str, *times: Array) -> list[Array]:
    def values(*ts: Array) -> list[Array]:
        return [jnp.broadcast_to(value, _shape(sde)) for value in jax.tree.leaves(getattr(sde, name)(*ts))]

    return jax.vmap(values)(*times)


def _over(sde: GaussianPath, name: str, *times: ArrayLike) -> list[np.ndarray]:
    """Return what the method returns over arrays of times, a list of [len(times), *schedule]."""
    return [np.array(value) for value in _lifted(sde, name, *map(jnp.asarray, times))]


def _shape(sde: GaussianPath) -> tuple[int, ...]:
    """Return the shape of the smallest x that the schedule broadcasts against."""
    return jnp.broadcast_shapes(jnp.shape(sde.log_alpha(0.5)), jnp.shape(sde.variance(0.5)))


def _require(law: str, times: ArrayLike, got: ArrayLike, expected: ArrayLike = True, slack: ArrayLike = 0.0) -> None:
    """Raise for the first times at which |got - expected| exceeds `slack`, or is not a number."""
    got, expected, slack = np.broadcast_arrays(np.asarray(got, float), np.asarray(expected, float), slack)
    for t, g, e, bound in zip(np.asarray(times), got, expected, slack, strict=True):
        if not np.all(np.abs(g - e) <= bound):
            where = ", ".join(f"{name} = {value:g}" for name, value in zip("tsr", np.ravel(t), strict=False))
            raise AssertionError(f"{law}: at {where}, got {g}, expected {e}")


def _hold_signal_to_noise(sde: GaussianPath) -> None:
    times = np.union1d(TIMES, np.linspace(0, 1, 101))
    (log_snr,) = _over(sde, "log_snr", times)
    _require("log(alpha / sigma) falls strictly with t", times[1:], log_snr[1:] < log_snr[:-1])
    if log_snr.ndim == 1:
        _require("time_of inverts log_snr", times, _over(sde, "time_of", log_snr)[0], times, SLACK)


def _hold_transitions(sde: GaussianPath) -> None:
    r, s, t = TIMES[:-2], TIMES[1:-1], TIMES[2:]
    (a_rs, q_rs), (a_st, q_st), (a_rt, q_rt) = (_over(sde, "transition", *pair) for pair in ((r, s), (s, t), (r, t)))
    law, times = "Chapman-Kolmogorov: x_t given x_r, by way of x_s", np.stack([t, s, r], 1)
    _require(law, times, a_st * a_rs, a_rt, SLACK * a_rs)
    _require(law, times, a_st**2 * q_rs**2 + q_st**2, q_rt**2, SLACK * q_rt**2)
    (alpha_s,), (alpha_t,), (v_s,), (v_t,) = (_over(sde, name, u) for name in ("alpha", "variance") for u in (s, t))
    law, times = "the marginal at t is the marginal at s carried by the transition", np.stack([t, s], 1)
    _require(law, times, a_st * alpha_s, alpha_t, SLACK * alpha_s)
    _require(law, times, a_st**2 * v_s + q_st**2, v_t, SLACK * v_t)


def _hold_rates(sde: GaussianPath, ends: np.ndarray) -> None:
    ends = np.minimum(ends, 1.0 if np.all(sde.alpha(1.0) > 0) else 0.99)  # f is infinite where alpha vanishes
    nodes, weights = np.polynomial.legendre.leggauss(24)
    s, t = ends[:-1], ends[1:]
    u = (s + t)[:, None] / 2 + (t - s)[:, None] / 2 * nodes
    f, g2 = _over(sde, "rates", u.ravel())
    kept, _ = _over(sde, "transition", u.ravel(), t.repeat(len(nodes)))
    scale, std = _over(sde, "transition", s, t)

    def integral(values: np.ndarray) -> np.ndarray:
        return np.einsum("i,k,ik...->i...", (t - s) / 2, weights, values.reshape(*u.shape, *values.shape[1:]))

    rise, variance = integral(f), integral(kept**2 * g2)
    _require("f is the derivative of log alpha", t, rise, np.log(scale), SLACK * (1 + np.abs(rise)))
    _require("the variance of a transition is the integral of a^2 g^2", t, std**2, variance, 100 * SLACK * variance)
    _require("g^2 is not negative", u.ravel(), g2 >= -SLACK * g2.max(0))
    start = np.zeros(1)
    _require("f and g^2 are finite at t = 0", start, np.isfinite(_over(sde, "rates", start)).all(0))


def _hold_perturb(sde: GaussianPath) -> None:
    times, x0 = TIMES[3::4], jnp.full(_shape(sde), 3.0)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    x, eps = map(np.array, jax.jit(jax.vmap(lambda t: jax.vmap(lambda key: sde.perturb(key, x0, t))(keys)))(times))
    (alpha,), (sigma,) = _over(sde, "alpha", times), _over(sde, "sigma", times)
    _require("perturb returns alpha x_0 + sigma eps", times, x, alpha[:, None] * x0 + sigma[:, None] * eps, SLACK)
    _hold_standard_normal("eps of perturb", times, eps)


def _hold_prior(sde: GaussianPath) -> None:
    shape, std, end = _shape(sde), jnp.sqrt(sde.prior_variance()), np.ones(1)
    x = std * np.linspace(-2, 1, 3 * math.prod(shape)).reshape(3, *shape)
    density = jnp.sum(jax.scipy.stats.norm.logpdf(x, scale=std))
    _require("prior_log_prob is the density of N(0, prior_variance)", end, sde.prior_log_prob(x)[None], density, SLACK)
    draws = np.array(sde.prior_sample(jax.random.key(0), (DRAWS, *shape)) / std)
    _hold_standard_normal("prior_sample over the prior's standard deviation", end, draws[None])


def _hold_standard_normal(name: str, times: np.ndarray, draws: np.ndarray) -> None:
    """Require mean 0 and variance 1 of the draws [len(times), DRAWS, ...], within 5 standard errors."""
    _require(f"{name} has mean 0", times, draws.mean(1), 0.0, 5 / DRAWS**0.5)
    _require(f"{name} has variance 1", times, draws.var(1), 1.0, 5 * (2 / DRAWS) ** 0.5)
