import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.objective import MinSNR, by_noise_level

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
X0, T = np.array([[0.3, -0.7], [0.9, 0.1]]), 0.4
KEY = jax.random.key(0)


def name(value):
    return type(value).__name__


def minimum(sde, t):
    """The posterior variance of Gaussian data: what no denoiser can do better than, a number."""
    alpha, noise = float(sde.alpha(t)), float(sde.variance(t)) * np.eye(2)
    gain = alpha * COVARIANCE @ np.linalg.inv(alpha**2 * COVARIANCE + noise)
    return np.trace(COVARIANCE - alpha * gain @ COVARIANCE) / 2


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_exact_denoiser_attains_the_posterior_variance_and_no_perturbation_lowers_it(sde):
    n = 20_000
    exact = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    x0 = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=n)

    @jax.jit
    @jax.vmap
    def loss_and_slope(key, x0):
        def loss(size, bend):
            def denoise(x, t):
                return (1 + size) * exact(x, t) + bend * jnp.cos(3 * x)

            return sj.denoising_score_matching(key, sde, denoise, x0, T, sj.Simple())

        return jax.value_and_grad(loss, argnums=(0, 1))(0.0, 0.0)

    losses, slopes = loss_and_slope(jax.random.split(KEY, n), x0)
    expected = float(sde.alpha(T) ** 2 / sde.variance(T)) * minimum(sde, T)
    assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(n)
    assert losses.std() / np.sqrt(n) < 0.02 * expected
    for slope in slopes:
        assert abs(slope.mean()) < 4 * slope.std() / np.sqrt(n)


def one_loss(sde, estimate, weighting):
    """The loss of one estimate, the noised x that it was asked for and the noise in it."""
    seen = []

    def denoise(x, t):
        seen.append(x)
        return estimate

    loss = sj.denoising_score_matching(KEY, sde, denoise, X0, T, weighting)
    (x,) = seen
    return loss, x, (x - sde.alpha(T) * X0) / sde.sigma(T)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_simple_loss_is_the_squared_error_of_the_noise(sde):
    estimate = np.array([[0.1, -0.2], [0.5, 0.6]])
    loss, x, eps = one_loss(sde, estimate, sj.Simple())
    noise = (x - sde.alpha(T) * estimate) / sde.sigma(T)
    np.testing.assert_allclose(loss, np.mean((noise - eps) ** 2), rtol=1e-9)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_likelihood_loss_is_g_squared_times_the_squared_error_of_the_score(sde):
    estimate = np.array([[0.1, -0.2], [0.5, 0.6]])
    loss, x, eps = one_loss(sde, estimate, sj.Likelihood())
    score, target = sj.score_of(lambda x, t: estimate, sde)(x, T), -eps / sde.sigma(T)
    np.testing.assert_allclose(loss, sde.diffusion(T) ** 2 * np.mean((score - target) ** 2), rtol=1e-9)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_edm_loss_is_the_squared_error_of_edms_network(sde):
    c = sj.EDM(sigma_data=0.7).coefficients(sde, T)
    output = np.array([[0.1, -0.2], [0.5, 0.6]])
    _, x, _ = one_loss(sde, X0, sj.Simple())  # the noised x of this key
    loss, _, _ = one_loss(sde, c.skip * x + c.out * output, sj.EDMWeighting(sigma_data=0.7))
    target = (X0 - c.skip * x) / c.out
    np.testing.assert_allclose(loss, np.mean((output - target) ** 2), rtol=1e-9)


def test_the_loss_by_noise_level_is_the_minimum_of_every_level():
    sde, n, times = sj.VP(), 2000, np.array([0.05, 0.3, 0.8])
    exact = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    x0 = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=n)
    losses = jax.jit(lambda x0, times: by_noise_level(KEY, sde, exact, x0, times, sj.EDMWeighting()))(x0, times)
    weights = np.array([float(sj.EDMWeighting().weight(sde, t)) for t in times])
    np.testing.assert_allclose(losses / weights, [minimum(sde, t) for t in times], rtol=0.1)


def test_an_estimate_of_another_shape_and_a_batch_of_times_have_no_loss():
    key, sde, x0 = jax.random.key(0), sj.VP(), jnp.ones(3)
    for denoise, t in ((lambda x, t: x[:1], 0.5), (lambda x, t: x.sum(), 0.5), (lambda x, t: x, jnp.full(3, 0.5))):
        with pytest.raises(sj.InputError, match="expected one example, one time and an estimate"):
            sj.denoising_score_matching(key, sde, denoise, x0, t, sj.Simple())


def test_every_level_and_every_example_has_noise_of_its_own():
    """Of a denoiser that answers 0 for x_0 = 0 no error is left; of x itself it is the noise, sigma^2 z^2."""
    sde, n = sj.VP(), 4000
    losses = jax.jit(lambda x0, times: by_noise_level(KEY, sde, lambda x, t: x, x0, times, MinSNR(1e-6)))
    one, other = (losses(jnp.zeros((m, 1)), jnp.full(2, T)) / 1e-6 / sde.variance(T) for m in (1, n))
    assert abs(one[0] - one[1]) > 1e-3
    # a mean of n independent z^2 has the deviation sqrt(2 / n)
    np.testing.assert_allclose(other, 1, atol=4.5 * np.sqrt(2 / n))
