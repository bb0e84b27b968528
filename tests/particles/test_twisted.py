"""The twisted diffusion sampler on mixtures, whose posterior is known."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.measurement import Independent, Matrix, Measurement
from sde_jax.particles import Twisted, log_likelihood, sample_particles

VE = sj.VE(sigma_min=0.01, sigma_max=30.0)
WEIGHTS, MEANS = np.array([0.3, 0.7]), np.array([[1.5, -1.0], [-1.0, 0.5]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.4]], [[0.3, -0.1], [-0.1, 0.6]]])
PRIOR = sj.exact.MixtureDenoiser(VE, WEIGHTS, MEANS, COVARIANCES)
SEEN, NOISE, VALUE = np.array([1.0, 0.5]), 0.3, 0.4
GRID = sj.grids.uniform(150, end=1e-3)


MEASURED = Measurement(Matrix(SEEN[None]), np.array([VALUE]), Independent(np.sqrt(NOISE)))


def posterior():
    """Weights, means and covariances of the posterior's components, and log p(y)."""
    spread = COVARIANCES @ SEEN
    variance = spread @ SEEN + NOISE
    residual = VALUE - MEANS @ SEEN
    evidence = WEIGHTS * np.exp(-0.5 * residual**2 / variance) / np.sqrt(2 * np.pi * variance)
    means = MEANS + spread * (residual / variance)[:, None]
    covariances = COVARIANCES - spread[:, :, None] * spread[:, None, :] / variance[:, None, None]
    return evidence / evidence.sum(), means, covariances, np.log(evidence.sum())


def component_weights(x, log_weights, means, covariances):
    """The mixture weights of given components that fit weighted points best, by expectation maximisation."""
    precisions, away = np.linalg.inv(covariances), x[:, None] - means
    densities = np.exp(-0.5 * np.einsum("nki,kij,nkj->nk", away, precisions, away)) / np.sqrt(
        np.linalg.det(covariances)
    )
    fitted, w = np.full(2, 0.5), np.exp(log_weights)
    for _ in range(200):
        responsibilities = fitted * densities
        fitted = w @ (responsibilities / responsibilities.sum(1, keepdims=True))
    return fitted


TWISTED = Twisted(VE, PRIOR, log_likelihood(MEASURED))


@pytest.mark.parametrize("data_variance", [1.0, *(pytest.param(v, marks=pytest.mark.slow) for v in (0.1, 10.0))])
def test_the_posterior_s_components_and_the_evidence_are_exact_whatever_the_twist(data_variance):
    system = replace(TWISTED, data_variance=data_variance)
    found = jax.jit(lambda key: sample_particles(key, system, GRID, (2,), 4096))(jax.random.key(0))
    weights, means, covariances, evidence = posterior()
    fitted = component_weights(np.array(found.x), np.array(found.log_weights), means, covariances)
    np.testing.assert_allclose(fitted, weights, atol=0.03)
    np.testing.assert_allclose(jnp.exp(found.log_weights) @ found.x, weights @ means, atol=0.05)
    np.testing.assert_allclose(found.log_normalizer, evidence, atol=0.05)
    assert not found.collapsed


@pytest.mark.parametrize(
    "sde", [sj.VP(), pytest.param(sj.RectifiedFlow(), marks=pytest.mark.slow)], ids=lambda sde: type(sde).__name__
)
def test_on_a_known_example_the_weights_are_even_and_the_evidence_is_its_likelihood(sde):
    """Where x_0 is known no guidance is needed, and every psi is a constant."""
    x0 = np.array([0.3, -0.2])
    system = Twisted(sde, lambda x, t: x0 + 0 * x, log_likelihood(MEASURED))
    found = sample_particles(jax.random.key(1), system, sj.grids.LogSNR().times(sde, 6, 0.0), (2,), 8)
    np.testing.assert_allclose(found.x, np.tile(x0, (8, 1)), atol=1e-9)
    np.testing.assert_allclose(found.log_weights, np.full(8, -np.log(8)), atol=1e-9)
    deviation = (VALUE - SEEN @ x0) / np.sqrt(NOISE)
    np.testing.assert_allclose(found.log_normalizer, -0.5 * (deviation**2 + np.log(2 * np.pi * NOISE)), atol=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(TWISTED, data_variance=0.0), "data_variance = 0.0: expected a positive number"),
        (lambda: replace(TWISTED, sde=None), "expected a path"),
        (lambda: replace(TWISTED, log_potential=lambda x0, c: x0), "expected a scalar"),
        (lambda: replace(TWISTED, denoise=lambda x, t: x[0]), "expected the same shape"),
        (lambda: replace(TWISTED, log_potential=log_likelihood(replace(MEASURED, value=np.zeros(3)))), "y of shape"),
        (lambda: replace(TWISTED, log_potential=log_likelihood([])), "expected a Measurement"),
    ],
)
def test_what_cannot_be_used_is_told(make, words):
    with pytest.raises(sj.InputError, match=words):
        sample_particles(jax.random.key(0), make(), GRID, (2,), 4)


def test_the_twist_of_white_gaussian_data_is_the_likelihood_of_the_noisy_state():
    """x_0 given x_t is N(D, c) with c = v sigma^2 / (sigma^2 + v alpha^2): psi = log N(y; A D, R + c A A^T)."""
    v, sde, x = 0.6, sj.VP(), jnp.array([0.8, -1.1])
    denoise = sj.exact.GaussianDenoiser(sde, jnp.zeros(2), v)
    seen = Measurement(Matrix(np.array([[1.0, 0.0]])), np.array([VALUE]), Independent(np.sqrt(NOISE)))
    system = Twisted(sde, denoise, log_likelihood(seen), data_variance=v)
    for t in (0.2, 0.5, 0.8):
        alpha, variance = float(sde.alpha(t)), float(sde.variance(t))
        left = v * variance / (variance + v * alpha**2)
        mean = v * alpha / (variance + v * alpha**2) * float(x[0])
        expected = -0.5 * (VALUE - mean) ** 2 / (NOISE + left) - 0.5 * np.log(2 * np.pi * (NOISE + left))
        np.testing.assert_allclose(system.look(x, t).psi, expected, rtol=1e-6)
