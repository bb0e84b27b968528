import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.likelihood.divergence import quadratic_forms


def field(x):
    return jnp.stack([jnp.sin(x[0]) * x[1], x[2] ** 2, x[0] * x[1] * x[2]])


X = np.array([0.3, -0.7, 1.2])
JACOBIAN = np.array([[np.cos(0.3) * -0.7, np.sin(0.3), 0.0], [0.0, 0.0, 2.4], [-0.7 * 1.2, 0.3 * 1.2, 0.3 * -0.7]])


def test_quadratic_forms_are_those_of_the_jacobian():
    probes = np.random.default_rng(0).normal(size=(4, 3))
    value, forms = quadratic_forms(field, X, probes)
    np.testing.assert_allclose(value, field(X))
    np.testing.assert_allclose(forms, np.einsum("ki,ij,kj->k", probes, JACOBIAN, probes))


def test_the_mean_over_all_signs_is_the_trace():
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    _, forms = quadratic_forms(field, X, signs)
    np.testing.assert_allclose(jnp.mean(sj.Hutchinson(8).estimates(forms)), np.trace(JACOBIAN))


def test_the_exact_divergence_is_the_trace_whatever_the_shape():
    for shape in ((3,), (1, 3, 1)):
        divergence = sj.Exact()
        probes = divergence.probes(jax.random.key(0), shape)
        _, forms = quadratic_forms(lambda x, shape=shape: field(x.ravel()).reshape(shape), X.reshape(shape), probes)
        np.testing.assert_allclose(divergence.estimates(forms), [np.trace(JACOBIAN)])
        assert divergence.standard_error(divergence.estimates(forms)) == 0


def test_hutchinsons_probes_are_independent_signs():
    probes = np.asarray(sj.Hutchinson(4096).probes(jax.random.key(0), (2, 2))).reshape(4096, 4)
    np.testing.assert_array_equal(np.abs(probes), 1.0)
    np.testing.assert_allclose(probes.T @ probes / 4096, np.eye(4), atol=5 / 64)
    np.testing.assert_allclose(probes.mean(0), 0.0, atol=5 / 64)


def test_the_standard_error_is_that_of_a_mean():
    estimates = jnp.array([1.0, 2.0, 4.0, 9.0])
    expected = np.std(estimates, ddof=1) / 2
    np.testing.assert_allclose(sj.Hutchinson(4).standard_error(estimates), expected)
    assert sj.Hutchinson(1).standard_error(estimates[:1]) == jnp.inf


def test_no_probe_is_no_estimate():
    with pytest.raises(sj.InputError, match="expected at least one probe"):
        sj.Hutchinson(0)
