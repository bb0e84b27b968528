import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
TIMES = (0.01, 0.3, 1.0)
X0, EPS = np.array([[0.3, -0.7], [0.9, 0.1]]), np.array([[1.2, -0.4], [0.2, 0.5]])


def velocity(x0, eps, alpha, sigma):
    angle = np.arctan2(sigma, alpha)
    return np.cos(angle) * eps - np.sin(angle) * x0


@pytest.mark.parametrize("sde", PATHS, ids=str)
@pytest.mark.parametrize(
    ("parameterization", "target"),
    [
        (sj.Epsilon(), lambda x0, eps, alpha, sigma: eps),
        (sj.X0(), lambda x0, eps, alpha, sigma: x0),
        (sj.V(), velocity),
        (sj.ScoreFunction(), lambda x0, eps, alpha, sigma: -eps / sigma),
    ],
    ids=["epsilon", "x0", "v", "score"],
)
def test_a_network_that_returns_its_target_denoises_exactly(sde, parameterization, target):
    for t in TIMES:
        alpha, sigma = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t))
        x, seen = alpha * X0 + sigma * EPS, []

        def network(x, label, seen=seen, alpha=alpha, sigma=sigma):
            seen.extend([x, label])
            return target(X0, EPS, alpha, sigma)

        estimate = sj.denoiser(network, sde, parameterization)(x, t)
        np.testing.assert_allclose(estimate, X0, rtol=1e-9)
        scale = np.hypot(alpha, sigma) if parameterization == sj.V() else 1.0
        np.testing.assert_allclose(seen[0] * scale, x, rtol=1e-12)
        np.testing.assert_allclose(seen[1], 999 * t)


@pytest.mark.parametrize("sde", PATHS, ids=str)
@pytest.mark.parametrize("sigma_data", [0.3, 1.0])
def test_edm_gives_its_network_input_and_target_of_unit_variance_uncorrelated_with_each_other(sde, sigma_data):
    for t in TIMES:
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        c = sj.EDM(sigma_data=sigma_data).coefficients(sde, t)
        variance = (alpha * sigma_data) ** 2 + sigma**2
        np.testing.assert_allclose(c.scale_in**2 * variance, 1.0)
        # target (x0 - c_skip x) / c_out: its part along x0 and its part along the noise
        parts = jnp.array([(1 - c.skip * alpha) * sigma_data, -c.skip * sigma]) / c.out
        np.testing.assert_allclose(jnp.sum(parts**2), 1.0)
        np.testing.assert_allclose(jnp.dot(parts, jnp.array([alpha * sigma_data, sigma])), 0.0, atol=1e-9 * sigma)
        assert c.out > 0


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_edm_of_a_silent_network_is_the_exact_denoiser_of_a_gaussian(sde):
    exact = sj.exact.GaussianDenoiser(sde, 0.0, 0.5**2)
    denoise = sj.denoiser(lambda x, label: jnp.zeros_like(x), sde, sj.EDM(sigma_data=0.5))
    for t in TIMES:
        np.testing.assert_allclose(denoise(X0, t), exact(X0, t), rtol=1e-9)


def test_edm_tells_its_network_a_quarter_of_the_log_noise():
    sde = sj.VE()
    for scale in (1.0, 40.0):
        label = sj.EDM(noise_scale=scale).coefficients(sde, 0.3).noise
        np.testing.assert_allclose(label, scale * np.log(sde.sigma(0.3)) / 4)


@pytest.mark.parametrize("setting", [{"sigma_data": 0.0}, {"sigma_data": -1.0}, {"noise_scale": 0.0}])
def test_edm_refuses_data_without_extent(setting):
    with pytest.raises(sj.InputError, match="expected sigma_data > 0"):
        sj.EDM(**setting)
