import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import truncnorm

import sde_jax as sj
from sde_jax.objective import FlowMatching, Importance, LogitNormal, LogNormal, Objective

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
START, N = 1e-3, 64


@sj.path
class Diagonal(sj.GaussianPath):
    """Two numbers, of which one forgets all of x_0 and one does not."""

    def log_alpha(self, t):
        return jnp.stack([jnp.log1p(-t), -2 * t])

    def variance(self, t):
        return jnp.stack([t**2, -jnp.expm1(-4 * t)])


ENDLESS = {
    "straight": sj.RectifiedFlow(),
    "diagonal": Diagonal(),
    "product": sj.Product({"a": (sj.VP(), (3,)), "b": (sj.RectifiedFlow(), (2,)), "c": (sj.VE(), ())}),
    "finite product": sj.Product({"a": (sj.VP(), (3,)), "b": (sj.MeanReverting(3.0), (2,))}),
    "timed": sj.TimeChange(sj.RectifiedFlow(), jnp.square),
    "shifted": sj.Shifted(sj.RectifiedFlow(), jnp.sin),
    "transformed": sj.Transformed(sj.RectifiedFlow(), sj.Log()),
    "own": sj.Schedule(lambda t: jnp.log1p(-t), jnp.square),
}
"""Paths whose log-SNR is infinite at t = 1, or an array."""
TIMES = [sj.Uniform(), sj.UniformLogSNR(), Importance(), LogNormal(), LogitNormal(stratified=False)]


def name(value):
    return type(value).__name__


def draws(times, sde, n=N, seeds=200):
    keys = jax.random.split(jax.random.key(0), seeds)
    return np.asarray(jax.jit(jax.vmap(lambda key: times.draw(key, n, sde)))(keys))


def lifted(function, t):
    return np.asarray(jax.jit(jax.vmap(function))(jnp.asarray(t)))


def quantiles(times, sde, n=512):
    """The times at the middles of n equally probable strata: a mean over them is a midpoint rule."""
    return lifted(lambda u: times.quantile(sde, u), (np.arange(n) + 0.5) / n)


def assert_one_a_stratum(u):
    """u [seeds, n]: every row has one number in each of n equal cells, all at the same uniform offset."""
    seeds, n = u.shape
    u = np.sort(u, axis=1)
    offsets = u * n - np.arange(n)
    assert np.all((offsets > -1e-6) & (offsets < 1 + 1e-6))
    np.testing.assert_allclose(np.diff(u, axis=1), 1 / n, rtol=1e-6)
    offsets = offsets[:, 0]
    assert abs(offsets.mean() - 0.5) < 4 / np.sqrt(12 * seeds)
    assert abs(offsets.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / seeds)


def test_uniform_times_have_one_in_every_stratum():
    t = draws(sj.Uniform(START), sj.VP())
    assert_one_a_stratum((t - START) / (1 - START))


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_times_uniform_in_log_snr_have_one_in_every_stratum_of_it(sde):
    t = draws(sj.UniformLogSNR(START), sde, n=16, seeds=100)
    low, high = sde.log_snr(1.0), sde.log_snr(START)
    assert_one_a_stratum(np.asarray((jax.vmap(jax.vmap(sde.log_snr))(t) - low) / (high - low)))


@pytest.mark.slow
@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_likelihood_weights_at_uniform_times_and_simple_ones_at_uniform_log_snr_are_one_integral(sde):
    # For data N(0, c) the squared error of the noise at its minimum is c / (c + s^2), s = exp(-lambda), and
    # int g^2 |score error|^2 dt = 2 int |noise error|^2 dlambda = log((1 + c / s_start^2) / (1 + c / s_1^2)).
    c, start = 0.3, 0.05

    def mean_loss(times, weighting):
        t = times.draw(jax.random.key(0), 8192, sde)
        return float(np.mean(jax.vmap(lambda t: weighting.weight(sde, t))(t) * posterior_variance(t)))

    def posterior_variance(t):
        return c / (1 + c * np.exp(2 * np.asarray(jax.vmap(sde.log_snr)(t))))

    high, low = float(sde.log_snr(start)), float(sde.log_snr(1.0))
    integral = np.log1p(c * np.exp(2 * high)) - np.log1p(c * np.exp(2 * low))
    np.testing.assert_allclose((1 - start) * mean_loss(sj.Uniform(start), sj.Likelihood()), integral, rtol=2e-3)
    in_log_snr = 2 * (high - low) * mean_loss(sj.UniformLogSNR(start), sj.Simple())
    np.testing.assert_allclose(in_log_snr, integral, rtol=2e-3)


def log_noise_shares(times, sde, t):
    """The share of the normal of log(sigma / alpha), cut to [start, 1], below that of t."""
    at, low, high = (-lifted(sde.log_snr, t) for t in (t, [times.start], [1.0]))
    low, high = ((end[0] - times.mean) / times.deviation for end in (low, high))
    return truncnorm(low, high).cdf((at - times.mean) / times.deviation)


def logit_shares(times, sde, t):
    return truncnorm((logit(times.start) - times.mean) / times.deviation, np.inf).cdf(
        (logit(t) - times.mean) / times.deviation
    )


@pytest.mark.parametrize("sde", PATHS, ids=name)
@pytest.mark.parametrize(
    ("times", "shares"),
    [
        (LogNormal(START), log_noise_shares),
        (LogNormal(0.05, mean=-0.3, deviation=2.0), log_noise_shares),
        (LogitNormal(START), logit_shares),
        (LogitNormal(0.2, mean=-0.5, deviation=0.7), logit_shares),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_normal_times_have_the_distribution_function_of_a_truncated_normal(sde, times, shares):
    u = (np.arange(512) + 0.5) / 512
    np.testing.assert_allclose(shares(times, sde, quantiles(times, sde)), u, atol=1e-9)


@pytest.mark.parametrize("times", [LogNormal(START), LogitNormal(START)], ids=name)
def test_normal_times_stay_in_their_range_at_the_ends_of_it(times):
    ends = lifted(lambda u: times.quantile(sj.VE(), u), [0.0, 1.0])
    np.testing.assert_allclose(ends, [START, 1.0], rtol=1e-6)


@pytest.mark.parametrize("sde", [*PATHS, sj.RectifiedFlow(), Diagonal(), ENDLESS["product"]], ids=name)
def test_importance_sampling_changes_no_mean_over_uniform_times(sde):
    times, end = Importance(START), 1.0 if np.all(np.isfinite(sde.log_snr(1.0))) else 1 - START
    t = quantiles(times, sde, 8192)
    correction = lifted(lambda t: times.correction(sde, t), t)
    for power in range(3):  # the mean of t^k over [start, end]
        expected = (end ** (power + 1) - START ** (power + 1)) / ((power + 1) * (end - START))
        np.testing.assert_allclose(np.mean(correction * t**power), expected, rtol=1e-3)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_importance_sampling_lowers_the_variance_of_the_likelihood_loss_to_that_of_the_noise_error(sde):
    def loss(times, t):
        return lifted(
            lambda t: times.correction(sde, t) * sj.Likelihood().weight(sde, t) / sj.Simple().weight(sde, t), t
        )

    importance, uniform = (loss(times, quantiles(times, sde, 4096)) for times in (Importance(START), sj.Uniform(START)))
    np.testing.assert_allclose(importance, importance[0], rtol=1e-6)  # an error of the noise of 1 at every t
    if sde != sj.VE():  # whose g^2 / sigma^2 is constant
        assert uniform.std() > 0.5 * uniform.mean()


@pytest.mark.parametrize("times", [sj.Uniform, Importance], ids=lambda value: value.__name__)
def test_independent_and_stratified_times_give_one_mean_the_latter_of_far_less_variance(times):
    sde, n, seeds = sj.VP(), 16, 400

    def estimate(times):
        t = draws(times, sde, n, seeds)
        weighted = lifted(jax.vmap(lambda t: times.correction(sde, t) * jnp.sin(2 * t)), t)
        return weighted.mean(axis=1)

    expected = (np.cos(2 * START) - np.cos(2)) / (2 * (1 - START))
    stratified, independent = estimate(times(START)), estimate(times(START, stratified=False))
    for estimates in (stratified, independent):
        assert abs(estimates.mean() - expected) < 4 * estimates.std() / np.sqrt(seeds)
    assert stratified.var() < 0.1 * independent.var()


@pytest.mark.parametrize("sde", ENDLESS.values(), ids=ENDLESS.keys())
def test_every_distribution_of_times_teaches_on_every_path(sde):
    with jax.enable_x64(False):  # where 1 - start is nearest to 1

        @jax.jit
        def program(key):
            drawn, weights = [], []
            for times in TIMES:
                ends = jax.vmap(lambda u, times=times: times.quantile(sde, u))(jnp.array([0.0, 1.0]))
                drawn.append(t := jnp.concatenate([times.draw(key, N, sde), ends]))
                for weighting in (sj.Simple(), sj.Likelihood(), FlowMatching()):
                    weights.append(jax.vmap(lambda t, w=weighting, o=times: o.correction(sde, t) * w.weight(sde, t))(t))
            t = jnp.stack(drawn)
            return t, jax.vmap(lambda t: jnp.mean(sde.log_snr(t)))(t.ravel()), weights

        drawn, log_snr, weights = jax.tree.map(np.asarray, program(jax.random.key(0)))
    assert np.all((drawn > 0.99e-5) & (drawn <= 1))
    assert min(len(np.unique(row)) for row in drawn) > N / 2
    assert np.all(np.isfinite(log_snr))
    assert all(np.all(np.isfinite(w) & (w > 0)) for w in weights)


@pytest.mark.parametrize("sde", ENDLESS.values(), ids=ENDLESS.keys())
def test_times_uniform_in_log_snr_are_so_up_to_one_less_their_start_where_it_is_infinite_at_one(sde):
    end = 1.0 if np.all(np.isfinite(sde.log_snr(1.0))) else 1 - START
    t = np.concatenate([[end, START], quantiles(sj.UniformLogSNR(START), sde, 8)])
    low, high, *drawn = lifted(lambda t: jnp.mean(sde.log_snr(t)), t)
    np.testing.assert_allclose(drawn, high + (low - high) * (np.arange(8) + 0.5) / 8, rtol=1e-6)


def test_times_that_could_teach_nothing_are_refused():
    flow = sj.RectifiedFlow()
    for times in (sj.UniformLogSNR(1e-300), sj.Uniform(1e-300)):
        with pytest.raises(sj.InputError, match="expected finite numbers; take a larger start"):
            Objective(times=times).require_fit(flow)
        with pytest.raises(sj.InputError, match="expected finite numbers; take a larger start"):
            times.draw(jax.random.key(0), 4, flow)
    for times in (LogNormal(mean=60.0), LogitNormal(mean=-200.0, deviation=0.5)):
        with pytest.raises(sj.InputError, match="the normal has no share"):
            Objective(times=times).require_fit(flow)


@pytest.mark.parametrize("times", [sj.Uniform(), sj.UniformLogSNR(), LogNormal(), LogitNormal()], ids=name)
def test_times_that_are_part_of_the_objective_correct_nothing(times):
    assert times.correction(sj.VP(), 0.3) == 1


@pytest.mark.parametrize("times", [sj.Uniform, sj.UniformLogSNR, Importance, LogNormal, LogitNormal])
@pytest.mark.parametrize("start", [0.0, 1.0, -0.1])
def test_times_that_start_at_an_end_are_refused(times, start):
    with pytest.raises(sj.InputError, match="expected 0 < start < 1"):
        times(start)


@pytest.mark.parametrize("times", [LogNormal, LogitNormal])
def test_normal_times_without_spread_are_refused(times):
    with pytest.raises(sj.InputError, match="expected deviation > 0"):
        times(deviation=0.0)


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_a_batch_of_no_examples_has_no_times(n):
    with pytest.raises(sj.InputError, match="expected one or more"):
        sj.Uniform().draw(jax.random.key(0), n, sj.VP())
