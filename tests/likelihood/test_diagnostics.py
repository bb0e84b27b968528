import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

KEY = jax.random.key(0)
WEIGHTS, MEANS = np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, 0.0]])
COVARIANCES = np.array([[[0.4, 0.15], [0.15, 0.2]], [[0.1, 0.0], [0.0, 0.3]]])


def mixture(sde):
    return sj.exact.MixtureDenoiser(sde, WEIGHTS, MEANS, COVARIANCES)


def scaled(sde, factor):
    score = sj.score_of(mixture(sde), sde)
    return sj.denoiser_of(lambda x, t: factor * score(x, t), sde)


@sj.path
class Moving(sj.SubVP):
    """sub-VP with an offset."""

    def offset(self, t):
        return jnp.sin(t) * jnp.array([2.0, -1.0])


@pytest.mark.parametrize("sde", [sj.VP(), sj.VE(0.1, 50.0), Moving()], ids=lambda sde: type(sde).__name__)
def test_the_exact_score_solves_its_fokker_planck_equation_and_a_scaled_one_does_not(sde):
    x = np.random.default_rng(0).normal(size=(6, 2))
    times = np.array([0.1, 0.2, 0.3, 0.5, 0.8, 1.0])

    @jax.jit
    def residual(factor):
        return jax.vmap(lambda x, t: sj.fokker_planck_residual(KEY, sde, scaled(sde, factor), x, t))(x, times)

    assert np.all(np.abs(residual(1.0)) < 1e-8)
    assert np.max(np.linalg.norm(residual(1.1), axis=1)) > 1


def test_a_residual_with_random_probes_is_unbiased():
    sde, x, t = sj.VP(), np.array([0.3, -0.2]), 0.2
    denoise = scaled(sde, 1.1)
    exact = jax.jit(lambda x: sj.fokker_planck_residual(KEY, sde, denoise, x, t))(x)

    @jax.jit
    @jax.vmap
    def estimate(key):
        return sj.fokker_planck_residual(key, sde, denoise, x, t, divergence=sj.Hutchinson(2))

    estimates = np.asarray(estimate(jax.random.split(KEY, 2000)))
    assert np.all(np.abs(estimates.mean(0) - exact) < 4 * estimates.std(0) / np.sqrt(2000))
    assert np.all(estimates.std(0) > 0)


def test_the_asymmetry_of_a_linear_denoiser_is_that_of_its_matrix():
    matrix = np.random.default_rng(0).normal(size=(6, 6)) + 2 * np.eye(6)
    norm = np.linalg.norm
    expected = norm(matrix - matrix.T) / norm(matrix)

    def denoise(x, t):
        return (matrix @ x.ravel()).reshape(x.shape)

    x = jnp.ones((2, 3))
    np.testing.assert_allclose(sj.jacobian_asymmetry(KEY, denoise, x, 0.5, probes=6), expected)
    estimate = jax.jit(jax.vmap(lambda key: sj.jacobian_asymmetry(key, denoise, x, 0.5, probes=5)))
    np.testing.assert_allclose(jnp.mean(estimate(jax.random.split(KEY, 500))), expected, rtol=0.03)
    rotation = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(sj.jacobian_asymmetry(KEY, lambda x, t: rotation @ x, jnp.ones(2), 0.5), 2.0)


def test_the_jacobian_of_an_exact_denoiser_is_symmetric():
    asymmetry = jax.jit(lambda x: sj.jacobian_asymmetry(KEY, mixture(sj.VP()), x, 0.2))
    assert asymmetry(jnp.array([0.3, -0.2])) < 1e-12
    with pytest.raises(sj.InputError, match="expected at least one"):
        sj.jacobian_asymmetry(KEY, mixture(sj.VP()), jnp.ones(2), 0.2, probes=0)


def test_diagnostics_of_what_is_not_finite_raise():
    sde, broken = sj.VP(), lambda x, t: x / jnp.zeros_like(x)
    with pytest.raises(Exception, match="Jacobian holds NaN or infinity"):
        sj.jacobian_asymmetry(KEY, broken, jnp.ones(2), 0.5)
    with pytest.raises(Exception, match="residual is NaN or infinite"):
        sj.fokker_planck_residual(KEY, sde, broken, jnp.ones(2), 0.5)


def test_a_jacobian_of_zero_is_symmetric():
    assert sj.jacobian_asymmetry(KEY, lambda x, t: jnp.zeros_like(x), jnp.ones(2), 0.5) == 0
