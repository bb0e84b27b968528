import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_score_of_the_denoiser_of_a_score_is_that_score(sde):
    def score(x, t):
        return np.sin(x) - t

    x = np.linspace(-3, 3, 7)
    for t in (0.01, 0.4, 1.0):
        back = sj.score_of(sj.denoiser_of(score, sde), sde)
        np.testing.assert_allclose(back(x, t), score(x, t), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_score_of_one_known_example_is_minus_its_noise_over_sigma(sde):
    x0, eps = np.array([0.3, -0.7]), np.array([1.2, -0.4])
    for t in (0.01, 0.4, 1.0):
        x = sde.alpha(t) * x0 + sde.sigma(t) * eps
        score = sj.score_of(lambda x, t: x0, sde)
        np.testing.assert_allclose(score(x, t), -eps / sde.sigma(t), rtol=1e-7)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_tweedies_score_is_the_gradient_of_the_log_density(sde):
    means, covariances = np.array([[-1.0, 0.5], [1.0, 0.0]]), np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0], [0, 0.4]]])
    mixture = sj.exact.MixtureDenoiser(sde, np.array([0.3, 0.7]), means, covariances)
    gaussian = sj.exact.GaussianDenoiser(sde, means[0], covariances[0])
    x = np.array([0.4, -0.3])
    for denoise in (gaussian, mixture):
        score, gradient = jax.jit(sj.score_of(denoise, sde)), jax.jit(jax.grad(denoise.log_prob))
        for t in (0.01, 0.4, 1.0):
            np.testing.assert_allclose(score(x, t), gradient(x, t), rtol=1e-7, atol=1e-12)


def test_the_denoiser_of_a_score_about_an_offset_is_the_denoiser():
    sde, x, t = sj.Shifted(sj.VP(), lambda t: 3.0 * t), jnp.array([0.4, 2.5]), 0.5
    denoise = sj.exact.GaussianDenoiser(sde, 0.3, 0.5)
    again = sj.denoiser_of(lambda x, t: jax.grad(denoise.log_prob)(x, t), sde)
    np.testing.assert_allclose(again(x, t), denoise(x, t), rtol=1e-4)
    np.testing.assert_allclose(again.estimates(x, t).noise, denoise.estimates(x, t).noise, rtol=1e-4)
