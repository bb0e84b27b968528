import jax
import numpy as np
import pytest

import sde_jax as sj

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
START, N = 1e-3, 64


def name(value):
    return type(value).__name__


def draws(times, sde, n=N, seeds=200):
    keys = jax.random.split(jax.random.key(0), seeds)
    return np.asarray(jax.jit(jax.vmap(lambda key: times.draw(key, n, sde)))(keys))


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


@pytest.mark.parametrize("times", [sj.Uniform, sj.UniformLogSNR])
@pytest.mark.parametrize("start", [0.0, 1.0, -0.1])
def test_times_that_start_at_an_end_are_refused(times, start):
    with pytest.raises(sj.InputError, match="expected 0 < start < 1"):
        times(start)
