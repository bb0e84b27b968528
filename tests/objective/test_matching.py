"""Denoising score matching: its minimum, its weights and its times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import sde_jax as sj
from sde_jax.objective import by_noise_level

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
SPREAD = 0.6
WEIGHTINGS = [sj.Simple(), sj.Likelihood(), sj.EDMWeighting(SPREAD)]


def mean_loss(sde, denoise, t, weighting, n=20_000):
    keys = jax.random.split(jax.random.key(0), n)
    x0 = SPREAD * jax.random.normal(jax.random.key(1), (n, 2))
    return jax.vmap(lambda key, x: sj.denoising_score_matching(key, sde, denoise, x, t, weighting))(keys, x0)


@pytest.mark.parametrize("sde", PATHS, ids=str)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=str)
def test_the_exact_denoiser_attains_the_posterior_variance(sde, weighting):
    t, denoise = 0.4, sj.exact.GaussianDenoiser(sde, 0.0, SPREAD**2)
    losses = mean_loss(sde, denoise, t, weighting)
    posterior = SPREAD**2 * sde.variance(t) / (sde.alpha(t) ** 2 * SPREAD**2 + sde.variance(t))
    expected = weighting.weight(sde, t) * posterior
    assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(len(losses))


def test_no_other_denoiser_does_better():
    sde, t = sj.VP(), 0.4
    exact = sj.exact.GaussianDenoiser(sde, 0.0, SPREAD**2)

    def loss(change):
        denoise = lambda x, t: exact(x, t) * (1 + change[0]) + change[1]  # noqa: E731
        return mean_loss(sde, denoise, t, sj.Simple()).mean()

    gradient, curvature = jax.grad(loss)(jnp.zeros(2)), jax.hessian(loss)(jnp.zeros(2))
    assert np.all(np.abs(np.linalg.solve(curvature, gradient)) < 0.02)
    assert np.all(np.linalg.eigvalsh(curvature) > 0)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_weights_turn_the_error_of_x0_into_those_of_epsilon_score_and_f(sde):
    t, x0, wrong = 0.3, jnp.array([0.4, -0.2]), jnp.array([0.1, 0.5])
    x, eps = sde.perturb(jax.random.key(3), x0, t)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    g2, error = sde.diffusion(t) ** 2, jnp.mean((wrong - x0) ** 2)
    wrong_eps = (x - alpha * wrong) / sigma
    wrong_score, score = -wrong_eps / sigma, -eps / sigma
    c = sj.EDM(SPREAD).coefficients(sde, t)
    wrong_f, f = ((value - c.skip * x) / c.out for value in (wrong, x0))
    for weighting, expected in zip(
        WEIGHTINGS,
        (jnp.mean((wrong_eps - eps) ** 2), g2 * jnp.mean((wrong_score - score) ** 2), jnp.mean((wrong_f - f) ** 2)),
        strict=True,
    ):
        np.testing.assert_allclose(weighting.weight(sde, t) * error, expected, rtol=1e-10)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_log_snr_times_are_uniform_in_log_snr_one_in_each_stratum(sde):
    n = 512
    times = sj.UniformLogSNR(1e-4).draw(jax.random.key(0), n, sde)
    low, high = sde.log_snr(1.0), sde.log_snr(1e-4)
    u = (jax.vmap(sde.log_snr)(times) - low) / (high - low)
    strata = np.floor(np.sort(u) * n + 1e-6)
    assert np.all(strata == np.arange(n)) or np.all(np.abs(np.sort(u) * n - np.arange(n) - 0.5) < 1)
    assert stats.kstest(np.asarray(u), "uniform").pvalue > 0.5


def test_uniform_times_are_uniform_one_in_each_stratum():
    times = sj.Uniform(0.1).draw(jax.random.key(0), 100, sj.VP())
    assert np.all(np.floor((times - 0.1) / 0.9 * 100) == np.arange(100))


def test_each_time_of_a_batch_is_uniform_over_batches():
    draws = jax.vmap(lambda key: sj.Uniform(0.1).draw(key, 4, sj.VP()))(jax.random.split(jax.random.key(0), 4000))
    chosen = jax.random.randint(jax.random.key(1), (4000,), 0, 4)
    u = (draws[np.arange(4000), chosen] - 0.1) / 0.9
    assert stats.kstest(np.asarray(u), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_likelihood_weights_on_uniform_times_are_simple_ones_on_log_snr_times(sde):
    # integral of g^2 |score error|^2 dt = 2 integral of |epsilon error|^2 dlambda, lambda = log(alpha / sigma).
    start, n = 1e-3, 20_000
    wrong = lambda t: 0.1 + 0.5 * t  # noqa: E731
    uniform = jnp.linspace(start, 1.0, n)
    first = jax.vmap(lambda t: sj.Likelihood().weight(sde, t) * wrong(t) ** 2)(uniform)
    left = jnp.trapezoid(first, uniform)
    times = sj.UniformLogSNR(start).draw(jax.random.key(0), n, sde)
    second = jax.vmap(lambda t: sj.Simple().weight(sde, t) * wrong(t) ** 2)(times)
    right = 2 * (sde.log_snr(start) - sde.log_snr(1.0)) * second.mean()
    np.testing.assert_allclose(left, right, rtol=5e-3)


def test_the_loss_by_noise_level_is_the_loss_at_each_level():
    sde, denoise = sj.VP(), lambda x, t: jnp.zeros_like(x)
    x0 = SPREAD * jax.random.normal(jax.random.key(1), (4000, 2))
    times = jnp.array([0.1, 0.5, 0.9])
    losses = by_noise_level(jax.random.key(0), sde, denoise, x0, times, sj.Simple())
    np.testing.assert_allclose(losses, jax.vmap(lambda t: sj.Simple().weight(sde, t))(times) * SPREAD**2, rtol=0.05)


@pytest.mark.parametrize("cls", [sj.Uniform, sj.UniformLogSNR])
@pytest.mark.parametrize("start", [0.0, 1.0, -1.0, float("nan")])
def test_a_start_outside_zero_to_one_is_refused(cls, start):
    with pytest.raises(sj.InputError, match="expected 0 < start < 1"):
        cls(start)


def test_a_data_spread_that_is_not_positive_is_refused():
    with pytest.raises(sj.InputError, match="expected sigma_data > 0"):
        sj.EDMWeighting(0.0)
