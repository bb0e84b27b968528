"""The laws of a forward process."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import ArrayLike

from sde_jax.sde import GaussianPath
from sde_jax.typing import Array

TIMES = np.array([0.0, 1e-5, 1e-3, 0.01, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
DRAWS = 4096
SLACK = 1e-8


def check_sde(sde: GaussianPath, kinks: Sequence[float] | np.ndarray = ()) -> None:
    """Hold a path to the laws of the process x_t | x_0 ~ N(alpha x_0 + b, sigma^2 I), dx = (f (x - b) + b') dt + g dw.

    1. log(alpha / sigma) falls strictly, and `time_of` inverts it (where the schedule is a scalar).
    2. Chapman-Kolmogorov: for r < s < t, a_rt = a_st a_rs and q_rt^2 = a_st^2 q_rs^2 + q_st^2 for the transitions
       x_t - b_t | x_s ~ N(a_st (x_s - b_s), q_st^2); the marginals compose alike.
    3. The transitions solve the SDE: a_st = exp(int_s^t f du), q_st^2 = int_s^t a_ut^2 g^2 du. f and g^2 are finite
       at t = 0, and g^2 >= 0 everywhere. b(0) = 0; along b the drift is b', across it f.
    4. `perturb` returns alpha x_0 + b + sigma eps with the eps it returns, whose mean is 0 and variance 1.
    5. `prior_log_prob` is the log-density of N(prior_mean, prior_variance), of which `prior_sample` draws.
    6. `from_data` undoes `to_data`, and `log_volume` is the logarithm of its Jacobian's determinant.

    `kinks` are times in (0, 1) at which the integrals of the third law are divided: where f or g is not smooth, or
    next to which they are steep.
    """
    with jax.enable_x64(True):
        for hold in (_hold_signal_to_noise, _hold_transitions, _hold_perturb, _hold_prior, _hold_data):
            hold(sde)
        # f may be infinite where alpha vanishes
        ends = np.minimum(np.union1d(TIMES, kinks), 1.0 if np.all(sde.alpha(1.0) > 0) else 0.99)
        for hold in (_hold_rates, _hold_offset):
            hold(sde, ends)


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
    shapes = jax.eval_shape(lambda t: (sde.log_alpha(t), sde.variance(t), sde.offset(t), sde.prior_mean()), 0.5)
    return np.broadcast_shapes(*(value.shape for value in shapes))


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
    if jax.eval_shape(sde.log_snr, 0.5).ndim == 0:
        found = jax.jit(jax.vmap(lambda t: sde.time_of(sde.log_snr(t))))(times)
        _require("time_of inverts log_snr", times, found, times, SLACK)


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
    s, t, u, integral = _quadrature(ends)
    f, g2 = _over(sde, "rates", u)
    kept, _ = _over(sde, "transition", u, t.repeat(len(u) // len(t)))
    scale, std = _over(sde, "transition", s, t)
    rise, variance = integral(f), integral(kept**2 * g2)
    _require("f is the derivative of log alpha", t, rise, np.log(scale), SLACK * (1 + np.abs(rise)))
    _require("the variance of a transition is the integral of a^2 g^2", t, std**2, variance, 100 * SLACK * variance)
    _require("g^2 is not negative", u, g2 >= -SLACK * g2.max(0))
    start = np.zeros(1)
    _require("f and g^2 are finite at t = 0", start, np.isfinite(_over(sde, "rates", start)).all(0))


def _hold_offset(sde: GaussianPath, ends: np.ndarray) -> None:
    _, t, u, integral = _quadrature(ends)
    (b,), (f, _) = _over(sde, "offset", ends), _over(sde, "rates", u)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0))
    def drift(distance: float, t: Array) -> Array:
        return sde.drift(sde.offset(t) + jnp.full(_shape(sde), distance), t)

    along, beside = np.array(drift(0.0, u)), np.array(drift(2.0, u))
    _require("the offset is 0 at t = 0", np.zeros(1), b[:1], 0.0)
    _require(
        "the drift at the offset is its derivative", t, integral(along), np.diff(b, axis=0), SLACK * (1 + abs(b[1:]))
    )
    _require("the drift is f (x - b) + b'", u, beside - along, 2 * f, SLACK * (1 + np.abs(f)))


def _quadrature(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the intervals' ends, the times at which to know a function, and the map from its values to integrals."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    s, t = ends[:-1], ends[1:]
    u = (s + t)[:, None] / 2 + (t - s)[:, None] / 2 * nodes

    def integral(values: np.ndarray) -> np.ndarray:
        return np.einsum("i,k,ik...->i...", (t - s) / 2, weights, values.reshape(*u.shape, *values.shape[1:]))

    return s, t, u.ravel(), integral


def _hold_perturb(sde: GaussianPath) -> None:
    times, x0 = TIMES[3::4], jnp.full(_shape(sde), 3.0)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    x, eps = map(np.array, jax.jit(jax.vmap(lambda t: jax.vmap(lambda key: sde.perturb(key, x0, t))(keys)))(times))
    alpha, sigma, b = (_over(sde, name, times)[0][:, None] for name in ("alpha", "sigma", "offset"))
    _require("perturb returns alpha x_0 + b + sigma eps", times, x, alpha * x0 + b + sigma * eps, SLACK)
    _hold_standard_normal("eps of perturb", times, eps)


def _hold_prior(sde: GaussianPath) -> None:
    shape, end = _shape(sde), np.ones(1)

    @jax.jit
    def facts(keys: Array) -> tuple[Array, ...]:
        mean, std = sde.prior_mean(), jnp.sqrt(sde.prior_variance())
        x = mean + std * np.linspace(-2, 1, 3 * math.prod(shape)).reshape(3, *shape)
        densities = jax.vmap(sde.prior_log_prob)(x), jax.scipy.stats.norm.logpdf(x, mean, std)
        draws = jax.vmap(lambda key: sde.prior_sample(key, shape))(keys)
        return *map(jnp.sum, densities), (draws - mean) / std

    got, density, draws = map(np.array, facts(jax.random.split(jax.random.key(0), DRAWS)))
    law = "prior_log_prob is the density of N(prior_mean, prior_variance)"
    _require(law, end, got[None], density, SLACK * (1 + abs(density)))
    _hold_standard_normal("prior_sample over the prior's standard deviation", end, draws[None])


def _hold_data(sde: GaussianPath) -> None:
    shape, start = _shape(sde), np.zeros(1)
    x0 = np.linspace(-0.7, 0.9, math.prod(shape)).reshape(shape)

    @jax.jit
    def facts(x0: Array) -> tuple[Array, ...]:
        data = sde.to_data(x0)
        flat, unravel = ravel_pytree(data)
        jacobian = jax.jacobian(lambda flat: jnp.ravel(sde.from_data(unravel(flat))))(flat)
        return sde.from_data(data), sde.log_volume(data), jnp.linalg.slogdet(jacobian)[1]

    back, volume, expected = map(np.array, facts(x0))
    _require("from_data undoes to_data", start, back[None], x0[None], SLACK)
    _require("log_volume is log |det d from_data / d data|", start, volume[None], expected, SLACK)


def _hold_standard_normal(name: str, times: np.ndarray, draws: np.ndarray) -> None:
    """Require mean 0 and variance 1 of the draws [len(times), DRAWS, ...], within 5 standard errors."""
    _require(f"{name} has mean 0", times, draws.mean(1), 0.0, 5 / DRAWS**0.5)
    _require(f"{name} has variance 1", times, draws.var(1), 1.0, 5 * (2 / DRAWS) ** 0.5)
