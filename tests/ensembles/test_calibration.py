"""Test quantities of simulation-based calibration, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.ensembles import Ensemble
from sde_jax.ensembles.calibration import chi_square_of, quantities
from sde_jax.measurement import Identity, Independent, Mask, Measurement

X = np.array([[1.0, 3.0, 2.0], [0.0, -2.0, 5.0]])
SEEN = np.array([[True, False, True], [True, True, False]])


def measured(value, deviation=0.5, operator=None):
    return Measurement(operator or Identity(), jnp.asarray(value, float), Independent(deviation))


def test_the_quantities_of_an_example_are_those_that_they_are_named_after():
    found = quantities(measured(X + 1), jnp.asarray(X))
    assert found["mean"] == pytest.approx(X.mean())
    assert found["energy"] == pytest.approx(np.mean(X**2))
    differences = [2, -1, -2, 7, -1, -5, 3]
    assert found["roughness"] == pytest.approx(np.mean(np.square(differences)))
    assert quantities(measured(1.0), jnp.asarray(2.0))["roughness"] == 0


def test_the_chi_square_is_a_mean_over_what_was_seen_of_all_sources():
    sources = measured(X + 1, 0.5, Mask(SEEN)), measured(X + 2, 4.0)
    # four entries off by 2 deviations, six by a half
    assert chi_square_of(sources, jnp.asarray(X)) == pytest.approx((4 * 4 + 6 / 4) / 10, rel=1e-6)


def test_the_log_likelihood_rises_as_an_example_comes_nearer_to_what_was_measured():
    """Up to a constant and the number of entries it is the measurement's own log-density."""
    one = measured(X, 0.5, Mask(SEEN))
    far, near = jnp.asarray(X + 1.0), jnp.asarray(X + 0.3)
    found = [quantities(one, x)["log_likelihood"] for x in (far, near)]
    assert found[1] > found[0]
    assert (found[1] - found[0]) * SEEN.sum() == pytest.approx(float(one.log_prob(near) - one.log_prob(far)), rel=1e-5)


def test_the_deviation_of_an_ensemble_is_of_one_degree_less_than_it_has_members():
    ensemble = Ensemble(np.array([[[0.0], [2.0]], [[1.0], [4.0]]]), np.ones((2, 2), int), np.zeros((2, 2, 0)))
    np.testing.assert_allclose(ensemble.deviation, [[np.sqrt(2)], [3 / np.sqrt(2)]])
