"""The laws of a forward process."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import ArrayLike

from sde_jax.errors import takes_components
from sde_jax.likelihood import elbo
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.sde import GaussianPath, last_time
from sde_jax.typing import Array

TIMES = np.array([0.0, 1e-5, 1e-3, 0.01, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
DRAWS = 4096
BLOCK = 512
"""Times to a call, so that one program serves any number of them."""
BOUNDS = 128
SLACK = 1e-8
DATA, START = (0.5, 0.3), 1e-3
"""The mean and the variance of every number of the data of which likelihoods are bounded, and the time they are at."""


@takes_components
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
    7. On Gaussian data the bound of the exact denoiser is, in the mean, the log-likelihood: `elbo` is never above it.

    `kinks` are times in (0, 1) at which the integrals of the third law are divided: where f or g is not smooth, or
    next to which they are steep.
    """
    with jax.enable_x64(True):
        for hold in (_hold_signal_to_noise, _hold_transitions, _hold_draws, _hold_bound):
            hold(sde)
        # f may be infinite where alpha vanishes
        ends = np.minimum(np.union1d(TIMES, kinks), 1.0 if np.all(sde.alpha(1.0) > 0) else 0.99)
        for hold in (_hold_rates, _hold_offset):
            hold(sde, ends)


def _over(sde: GaussianPath, s: np.ndarray, t: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return `_facts` of pairs of times, each of shape [len(s), *schedule]; t is s unless given."""
    blocks = -(-len(s) // BLOCK)
    pairs = zip(*(np.resize(times, (blocks, BLOCK)) for times in (s, s if t is None else t)), strict=True)
    found = [_facts(sde, *pair) for pair in pairs]
    return {name: np.concatenate([block[name] for block in found])[: len(s)] for name in found[0]}


@jax.jit
@partial(jax.vmap, in_axes=(None, 0, 0))
def _facts(sde: GaussianPath, s: Array, t: Array) -> dict[str, Array]:
    """Return everything that is known at s, and of the transition from s to t: one program for all laws of a path."""
    (f, g2), (scale, std) = sde.rates(s), sde.transition(s, t)
    named = {"log_snr": sde.log_snr(s), "alpha": sde.alpha(s), "sigma": sde.sigma(s), "variance": sde.variance(s)}
    named |= {"offset": sde.offset(s), "f": f, "g2": g2, "scale": scale, "std": std}
    found = {name: jnp.broadcast_to(value, _shape(sde)) for name, value in named.items()}
    x = found["offset"]
    found |= {"along": sde.drift(x, s), "beside": sde.drift(x + 2, s)}
    return found | ({"time_of": sde.time_of(named["log_snr"])} if named["log_snr"].ndim == 0 else {})


def _shape(sde: GaussianPath) -> tuple[int, ...]:
    """Return the shape of the smallest x that the schedule and the data's coordinates broadcast against."""
    shapes = jax.eval_shape(lambda t: (sde.log_alpha(t), sde.variance(t), sde.offset(t), sde.prior_mean()), 0.5)
    schedule = np.broadcast_shapes(*(value.shape for value in shapes))
    return jax.eval_shape(lambda x: sde.from_data(sde.to_data(x)), jnp.zeros(schedule)).shape


def _require(law: str, times: ArrayLike, got: ArrayLike, expected: ArrayLike = True, slack: ArrayLike = 0.0) -> None:
    """Raise for the first times at which |got - expected| exceeds `slack`, or is not a number."""
    got, expected, slack = np.broadcast_arrays(np.asarray(got, float), np.asarray(expected, float), slack)
    for t, g, e, bound in zip(np.asarray(times), got, expected, slack, strict=True):
        if not np.all(np.abs(g - e) <= bound):
            where = ", ".join(f"{name} = {value:g}" for name, value in zip("tsr", np.ravel(t), strict=False))
            raise AssertionError(f"{law}: at {where}, got {g}, expected {e}")


def _hold_signal_to_noise(sde: GaussianPath) -> None:
    times = np.union1d(TIMES, np.linspace(0, 1, 101))
    found = _over(sde, times)
    log_snr = found["log_snr"]
    _require("log(alpha / sigma) falls strictly with t", times[1:], log_snr[1:] < log_snr[:-1])
    if "time_of" in found:
        _require("time_of inverts log_snr", times, found["time_of"], times, SLACK)


def _hold_transitions(sde: GaussianPath) -> None:
    r, s, t = TIMES[:-2], TIMES[1:-1], TIMES[2:]
    rs, st, rt, at_t = (_over(sde, *pair) for pair in ((r, s), (s, t), (r, t), (t, t)))
    (a_rs, q_rs), (a_st, q_st), (a_rt, q_rt) = ((found["scale"], found["std"]) for found in (rs, st, rt))
    law, times = "Chapman-Kolmogorov: x_t given x_r, by way of x_s", np.stack([t, s, r], 1)
    _require(law, times, a_st * a_rs, a_rt, SLACK * a_rs)
    _require(law, times, a_st**2 * q_rs**2 + q_st**2, q_rt**2, SLACK * q_rt**2)
    law, times = "the marginal at t is the marginal at s carried by the transition", np.stack([t, s], 1)
    _require(law, times, a_st * st["alpha"], at_t["alpha"], SLACK * st["alpha"])
    _require(law, times, a_st**2 * st["variance"] + q_st**2, at_t["variance"], SLACK * at_t["variance"])


def _hold_rates(sde: GaussianPath, ends: np.ndarray) -> None:
    s, t, u, integral = _quadrature(ends)
    onward, over = _over(sde, u, t.repeat(len(u) // len(t))), _over(sde, s, t)
    rise, variance = integral(onward["f"]), integral(onward["scale"] ** 2 * onward["g2"])
    _require("f is the derivative of log alpha", t, rise, np.log(over["scale"]), SLACK * (1 + np.abs(rise)))
    law = "the variance of a transition is the integral of a^2 g^2"
    _require(law, t, over["std"] ** 2, variance, 100 * SLACK * variance)
    _require("g^2 is not negative", u, onward["g2"] >= -SLACK * onward["g2"].max(0))
    finite = np.isfinite([over["f"][:1], over["g2"][:1]]).all(0)
    _require("f and g^2 are finite at t = 0", s[:1], finite)


def _hold_offset(sde: GaussianPath, ends: np.ndarray) -> None:
    _, t, u, integral = _quadrature(ends)
    b, inside = _over(sde, ends)["offset"], _over(sde, u)
    along, f = inside["along"], inside["f"]
    _require("the offset is 0 at t = 0", np.zeros(1), b[:1], 0.0)
    law = "the drift at the offset is its derivative"
    _require(law, t, integral(along), np.diff(b, axis=0), SLACK * (1 + abs(b[1:])))
    _require("the drift is f (x - b) + b'", u, inside["beside"] - along, 2 * f, SLACK * (1 + np.abs(f)))


def _quadrature(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the intervals' ends, the times at which to know a function, and the map from its values to integrals."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    s, t = ends[:-1], ends[1:]
    u = (s + t)[:, None] / 2 + (t - s)[:, None] / 2 * nodes

    def integral(values: np.ndarray) -> np.ndarray:
        return np.einsum("i,k,ik...->i...", (t - s) / 2, weights, values.reshape(*u.shape, *values.shape[1:]))

    return s, t, u.ravel(), integral


@jax.jit
def _drawn(sde: GaussianPath, keys: Array, times: Array, x0: Array) -> tuple[dict[str, Array], ...]:
    """Return what the laws of `perturb`, of the prior and of the data compare, in one program."""
    shape = _shape(sde)
    x, eps = jax.vmap(lambda t: jax.vmap(lambda key: sde.perturb(key, jnp.full(shape, 3.0), t))(keys))(times)
    mean, std = sde.prior_mean(), jnp.sqrt(sde.prior_variance())
    draws = jax.vmap(lambda key: sde.prior_sample(key, shape))(keys)
    at_end = mean + std * np.linspace(-2, 1, 3 * math.prod(shape)).reshape(3, *shape)
    prior = {
        "got": jnp.sum(jax.vmap(sde.prior_log_prob)(at_end)),
        "density": jnp.sum(jax.scipy.stats.norm.logpdf(at_end, mean, std)),
        "draws": (draws - mean) / std,
    }
    data = sde.to_data(x0)
    flat, unravel = ravel_pytree(data)
    jacobian = jax.jacobian(lambda flat: jnp.ravel(sde.from_data(unravel(flat))))(flat)
    volumes = {"volume": sde.log_volume(data), "expected": jnp.linalg.slogdet(jacobian)[1]}
    return {"x": x, "eps": eps}, prior, {"back": sde.from_data(data)} | volumes


def _hold_draws(sde: GaussianPath) -> None:
    times, shape, start, end = TIMES[3::4], _shape(sde), np.zeros(1), np.ones(1)
    keys, x0 = jax.random.split(jax.random.key(0), DRAWS), np.linspace(-0.7, 0.9, math.prod(shape)).reshape(shape)
    perturbed, prior, data = jax.tree.map(np.array, _drawn(sde, keys, times, x0))
    known = _over(sde, times)
    alpha, sigma, b = (known[name][:, None] for name in ("alpha", "sigma", "offset"))
    expected = alpha * 3 + b + sigma * perturbed["eps"]
    _require("perturb returns alpha x_0 + b + sigma eps", times, perturbed["x"], expected, SLACK)
    _hold_standard_normal("eps of perturb", times, perturbed["eps"])
    law, density = "prior_log_prob is the density of N(prior_mean, prior_variance)", prior["density"]
    _require(law, end, prior["got"][None], density, SLACK * (1 + abs(density)))
    _hold_standard_normal("prior_sample over the prior's standard deviation", end, prior["draws"][None])
    _require("from_data undoes to_data", start, data["back"][None], x0[None], SLACK)
    _require("log_volume is log |det d from_data / d data|", start, data["volume"][None], data["expected"], SLACK)


def _hold_standard_normal(name: str, times: np.ndarray, draws: np.ndarray) -> None:
    """Require mean 0 and variance 1 of the draws [len(times), DRAWS, ...], within 5 standard errors."""
    _require(f"{name} has mean 0", times, draws.mean(1), 0.0, 5 / DRAWS**0.5)
    _require(f"{name} has variance 1", times, draws.var(1), 1.0, 5 * (2 / DRAWS) ** 0.5)


@jax.jit
def _bounded(sde: GaussianPath, keys: Array) -> tuple[Array, Array]:
    """Return estimates of the bound's mean over Gaussian data, one for each key, and the mean log-likelihood.

    Both are quadratic in every number of x_0, so that their mean over the data is that over mean +- deviation. With
    the exact denoiser D the flow carries the data's density p to its marginals, and either mean is

        log_volume + E log(alpha^n p) at START + E log(prior / p) at t = 1.
    """
    shape, signs, (mean, variance) = _shape(sde), jnp.array([-1.0, 1.0]), DATA
    denoise = GaussianDenoiser(sde, jnp.full(math.prod(shape), mean), variance)

    def at(t: Array) -> Array:
        spread = jnp.sqrt(sde.alpha(t) ** 2 * variance + sde.variance(t))
        return jax.vmap(lambda sign: jnp.broadcast_to(sde.alpha(t) * mean + sde.offset(t) + sign * spread, shape))(
            signs
        )

    start, end = jnp.asarray(START), last_time(sde, START)
    data = jax.vmap(lambda sign: sde.to_data(jnp.full(shape, mean + sign * variance**0.5)))(signs)
    found = jax.vmap(lambda key: jax.vmap(lambda data: elbo(key, sde, denoise, data, start=START).value)(data))(keys)
    likelihood = jax.vmap(sde.log_volume)(data) + jax.vmap(lambda x: denoise.log_prob(x, start))(at(start))
    likelihood += jnp.sum(jnp.broadcast_to(sde.log_alpha(start), shape))
    likelihood += jax.vmap(lambda x: sde.prior_log_prob(x) - denoise.log_prob(x, end))(at(end))
    return found.mean(1), likelihood.mean()


def bound_excess(sde: GaussianPath) -> float:
    """Return by how many standard errors `elbo` of the exact denoiser is above the mean log-likelihood on a path.

    Negative where it is below: on average they are the same.
    """
    with jax.enable_x64(True):
        found, likelihood = jax.tree.map(np.array, _bounded(sde, jax.random.split(jax.random.key(0), BOUNDS)))
    return float((found.mean() - likelihood) / found.std() * BOUNDS**0.5)


def _hold_bound(sde: GaussianPath) -> None:
    law = "elbo of the exact denoiser is the mean log-likelihood, in standard errors"
    _require(law, np.ones(1), np.array([bound_excess(sde)]), 0.0, 5.0)
