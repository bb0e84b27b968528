import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import sde_jax as sj

PATHS = [sj.VP(), sj.VE(), sj.RectifiedFlow()]
EDGES = np.array([-1.0, -0.4, 0.3, 0.5, 1.0])
PROBABILITIES = np.array([[0.1, 0.4, 0.2, 0.3], [0.0, 0.05, 0.9, 0.05]])
TIMES = (1e-4, 0.02, 0.3, 0.8)


def integrated(sde, probabilities, x, t) -> tuple[float, float]:
    """(E[x_0 | x_t = x], p_t(x)) of one number by adaptive quadrature."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    peak = x / alpha

    def integral(power: int) -> float:
        parts = zip(EDGES[:-1], EDGES[1:], probabilities / np.diff(EDGES), strict=True)
        near = [
            (np.clip(peak - 9 * sigma / alpha, a, b), np.clip(peak + 9 * sigma / alpha, a, b), p) for a, b, p in parts
        ]
        law = scipy.stats.norm(x, sigma)
        return sum(p * scipy.integrate.quad(lambda y: y**power * law.pdf(alpha * y), a, b)[0] for a, b, p in near)

    return integral(1) / integral(0), integral(0)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_histogram_denoiser_is_the_posterior_mean_by_quadrature(sde):
    denoise = sj.exact.HistogramDenoiser(sde, EDGES, PROBABILITIES)
    x0 = np.array([-0.39, 0.45])
    for t in TIMES:
        x = np.asarray(sde.alpha(t)) * x0 + 0.7 * np.asarray(sde.sigma(t))
        expected = [integrated(sde, p, value, t) for p, value in zip(PROBABILITIES, x, strict=True)]
        np.testing.assert_allclose(jax.jit(denoise)(x, t), [mean for mean, _ in expected], rtol=1e-7)
        np.testing.assert_allclose(denoise.log_prob(x, t), sum(np.log(mass) for _, mass in expected), atol=1e-7)


@pytest.mark.parametrize("t", [1e-5, 0.01, 0.5, 1.0])
def test_in_float32_the_histogram_denoiser_is_that_of_float64(t):
    """Also where the noise is thousands of times wider than a cell, and a cell than the noise."""
    sde, edges = sj.VP(), np.linspace(-1, 1, 257)
    p = np.random.default_rng(0).dirichlet(np.ones(256), 40)
    x = np.random.default_rng(1).uniform(-1, 1, 40) * float(sde.alpha(t)) + 2 * float(sde.sigma(t))
    exact = sj.exact.HistogramDenoiser(sde, edges, p)(x, t)
    with jax.enable_x64(False):
        single = sj.exact.HistogramDenoiser(sde, edges, p)(np.float32(x), np.float32(t))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=2e-5)


def test_the_histograms_score_is_the_gradient_of_its_density():
    sde = sj.VP()
    denoise = sj.exact.HistogramDenoiser(sde, EDGES, PROBABILITIES)
    x = np.array([0.1, -0.2])
    np.testing.assert_allclose(sj.score_of(denoise, sde)(x, 0.2), jax.grad(denoise.log_prob)(x, 0.2), rtol=1e-9)


@pytest.mark.parametrize(
    ("edges", "probabilities"),
    [([0, 1, 1], [0.5, 0.5]), ([0, 1, 2], [0.5, 0.4]), ([0, 1, 2], [1.5, -0.5]), ([0, 1, 2], [1.0]), ([[0, 1]], [1.0])],
)
def test_what_is_no_histogram_is_refused(edges, probabilities):
    with pytest.raises(sj.InputError, match="expected"):
        sj.exact.HistogramDenoiser(sj.VP(), edges, probabilities)
