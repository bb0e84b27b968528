import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
SPECTRUM, BASIS = np.linalg.eigh(COVARIANCE)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_every_churn_has_the_marginals_of_the_forward_process(sde):
    # The moments of dx = a (x - m) dt + drift(m) dt + noise dw, run backwards, obey m' = drift(m) and
    # V' = a V + V a^T - noise^2 I; those of the forward process are known.
    @jax.jit
    def moments(t):
        return sde.alpha(t) * MEAN, sde.alpha(t) ** 2 * COVARIANCE + sde.variance(t) * jnp.eye(2)

    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    for churn in (0.0, 0.5, 1.0, 2.0):
        drift, noise = sj.reverse(sde, denoise, churn)

        @jax.jit
        def growth(t, drift=drift, noise=noise):
            mean, covariance = moments(t)
            a = jax.jacfwd(drift)(mean, t)
            return drift(mean, t), a @ covariance + covariance @ a.T - noise(t) ** 2 * jnp.eye(2)

        for t in (0.01, 0.3, 1.0):
            expected = jax.jvp(moments, (t,), (1.0,))[1]
            for ours, theirs in zip(growth(t), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_probability_flow_is_the_velocity_of_the_gaussian_transport(sde):
    def transported(t):  # in the eigenbasis, mean plus a fixed number of standard deviations
        deviations = jnp.sqrt(sde.alpha(t) ** 2 * SPECTRUM + sde.variance(t))
        return sde.alpha(t) * MEAN + BASIS @ (deviations * jnp.array([1.5, -0.7]))

    velocity = sj.reverse(sde, sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE), churn=0.0).drift
    for t in (0.01, 0.3, 1.0):
        x, expected = jax.jvp(transported, (t,), (1.0,))
        np.testing.assert_allclose(velocity(x, t), expected, rtol=1e-8)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_reverse_sde_is_andersons(sde):
    def score(x, t):
        return jnp.sin(3 * x) - t

    x, t = np.array([0.2, -1.0, 3.0]), 0.3
    drift, noise = sj.reverse(sde, sj.denoiser_of(score, sde))
    g = sde.diffusion(t)
    np.testing.assert_allclose(drift(x, t), sde.drift(x, t) - g**2 * score(x, t), rtol=1e-9)
    np.testing.assert_allclose(noise(t), g, rtol=1e-12)
    assert sj.reverse(sde, sj.denoiser_of(score, sde), churn=0.0).noise(t) == 0


@sj.path
class Straight(sj.RectifiedFlow):
    """With an offset: alpha vanishes at t = 1, where f and g are infinite and the velocity is not."""

    def offset(self, t):
        return jnp.sin(t) * jnp.array([2.0, -1.0])


def test_the_velocity_is_finite_where_alpha_vanishes():
    sde = Straight()
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    velocity = sj.reverse(sde, denoise, churn=0.0).drift
    x = np.array([0.3, 2.0])
    # at t = 1 nothing is known of x_0 and x - b is the noise: the velocity is b' - E[x_0] + E[eps]
    b, speed = np.array([2.0, -1.0]) * np.sin(1.0), np.array([2.0, -1.0]) * np.cos(1.0)
    np.testing.assert_allclose(velocity(x, 1.0), speed - MEAN + x - b, rtol=1e-12)
    score = sj.score_of(denoise, sde)
    for t in (0.2, 0.7):
        expected = sde.drift(x, t) - 0.5 * sde.rates(t)[1] * score(x, t)
        np.testing.assert_allclose(velocity(x, t), expected, rtol=1e-10)
