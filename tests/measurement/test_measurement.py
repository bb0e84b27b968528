import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sde_jax import measurement as m
from sde_jax.ensembles import chi_square_of
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=(4, 6))
ROOT = RANDOM.normal(size=(4, 4))
COVARIANCE = ROOT @ ROOT.T + np.eye(4)
X = RANDOM.normal(size=6)
Y = np.array([0.3, np.nan, -1.0, 2.0])
SEEN = ~np.isnan(Y)


@pytest.mark.parametrize(
    ("noise", "covariance"),
    [
        (m.Independent(0.5), 0.25 * np.eye(4)),
        (m.Independent(np.array([1.0, 2.0, 3.0, 4.0])), np.diag([1.0, 4.0, 9.0, 16.0])),
        (m.Correlated(COVARIANCE), COVARIANCE),
    ],
    ids=["number", "diagonal", "dense"],
)
def test_a_measurement_has_the_density_of_its_observed_entries(noise, covariance):
    measurement = m.Measurement(m.Matrix(A), jnp.asarray(Y), noise)
    seen = (covariance + 0.7 * np.eye(4))[np.ix_(SEEN, SEEN)]
    r = (Y - A @ X)[SEEN]
    expected = multivariate_normal(np.zeros(3), seen).logpdf(r)
    assert measurement.log_prob(jnp.asarray(X), 0.7) == pytest.approx(expected, rel=1e-10)
    residual = measurement.residual(jnp.asarray(X))
    solved = np.asarray(noise.solve(residual, measurement.observed, 0.7))
    assert np.allclose(solved[SEEN], np.linalg.solve(seen, r))
    assert solved[~SEEN] == 0
    inverse = np.linalg.inv(covariance[np.ix_(SEEN, SEEN)])
    assert measurement.chi_square(jnp.asarray(X)) == pytest.approx(r @ inverse @ r, rel=1e-10)
    assert np.allclose(noise.multiply(residual), covariance @ np.asarray(residual))


HIDDEN = np.array([False, True, True, False, True, False])
"""Entries of six that a mask leaves: three."""


@pytest.mark.parametrize("given", [0.0, 7.0, np.nan], ids=str)
@pytest.mark.parametrize(
    "operator",
    [
        m.Mask(HIDDEN),
        m.Chain((m.Linear(lambda x: 2 * x), m.Mask(HIDDEN))),
        m.Chain((m.Mask(HIDDEN), m.Identity())),
        m.Chain((m.Identity(), m.Chain((m.Mask(HIDDEN), m.Mask(np.ones(6, bool)))))),
    ],
    ids=["mask", "after", "before", "nested"],
)
def test_what_a_mask_hides_never_counts_whatever_stands_there(operator, given):
    """The density is that of three numbers, log N(y; A x0, 0.01) summed over them, and all else follows from it."""
    x = jnp.asarray(X)
    truth = np.asarray(operator(x)) + 0.05
    measurement = m.Measurement(operator, jnp.where(HIDDEN, truth, given), m.Independent(0.1))
    expected = 3 * multivariate_normal(0.0, 0.01).logpdf(0.05)
    assert jax.jit(lambda y, x: y.log_prob(x))(measurement, x) == pytest.approx(expected, rel=1e-10)
    assert measurement.chi_square(x) == pytest.approx(3 * 0.25)
    assert chi_square_of(measurement, x) == pytest.approx(0.25)
    assert np.array_equal(measurement.observed, HIDDEN)
    assert np.all(np.asarray(measurement.residual(x))[~HIDDEN] == 0)


def test_what_a_mask_hides_is_taken_out_of_correlated_noise():
    root = RANDOM.normal(size=(6, 6))
    covariance = root @ root.T + np.eye(6)
    measurement = m.Measurement(m.Mask(HIDDEN), jnp.full(6, 0.3), m.Correlated(covariance))
    seen = multivariate_normal(np.zeros(3), covariance[np.ix_(HIDDEN, HIDDEN)])
    assert measurement.log_prob(jnp.asarray(X)) == pytest.approx(seen.logpdf((0.3 - X)[HIDDEN]), rel=1e-10)


def test_coefficients_that_were_not_sampled_never_count():
    sampled = np.array([True, False, True, False])
    measurement = m.Measurement(m.Fourier(sampled), jnp.zeros((2, 4)), m.Independent(0.1))
    expected = 4 * multivariate_normal(0.0, 0.01).logpdf(0.0)
    assert measurement.log_prob(jnp.zeros(4)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("noise", [m.Independent(np.array([1.0, 2.0])), m.Correlated(np.array([[2.0, 1.2], [1.2, 1]]))])
def test_noise_is_drawn_from_its_covariance(noise):
    draws = jax.vmap(lambda key: noise.draw(key, (2,)))(jax.random.split(jax.random.key(0), 40_000))
    expected = np.stack([noise.multiply(jnp.eye(2)[i]) for i in range(2)])
    assert np.allclose(np.cov(np.asarray(draws).T), expected, atol=0.08)


def test_what_is_measured_of_the_truth_has_as_large_a_chi_square_as_it_has_entries():
    truth = jnp.asarray(X)
    draw = jax.jit(jax.vmap(lambda key: m.measure(key, m.Matrix(A), truth, m.Correlated(COVARIANCE)).chi_square(truth)))
    values = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    assert values.mean() == pytest.approx(4, abs=4 * np.sqrt(8 / 4000))


def test_a_missing_value_leaks_nothing_into_gradients():
    measurement = m.Measurement(m.Matrix(A), jnp.asarray(Y), m.Correlated(COVARIANCE))
    assert np.isfinite(np.asarray(jax.grad(measurement.log_prob)(jnp.asarray(X)))).all()


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: m.Independent(0.0), "positive"),
        (lambda: m.Independent(np.array([1.0, -1.0])), "positive"),
        (lambda: m.Independent(np.nan), "positive"),
        (lambda: m.Correlated(np.ones((2, 3))), r"\[n, n\]"),
        (lambda: m.Correlated(np.array([[1.0, 2.0], [2.0, 1.0]])), "eigenvalue -1"),
        (lambda: m.Correlated(np.array([[1.0, 0.5], [0.0, 1.0]])), "transpose"),
        (lambda: m.Measurement(m.Identity(), np.zeros(3), m.Independent(1.0)).require((4,)), "y of shape"),
        (lambda: m.Measurement(m.Identity(), np.full(4, np.inf), m.Independent(1.0)).require((4,)), "infinity"),
        (lambda: m.Measurement(m.Identity(), np.zeros(4), m.Independent(np.ones(3))).require((4,)), "deviations"),
        (lambda: m.Measurement(m.Identity(), np.zeros(4), m.Correlated(np.eye(3))).require((4,)), "covariance"),
        (lambda: m.Measurement(m.Linear(jnp.tanh), np.zeros(4), m.Independent(1.0)).require((4,)), "not linear"),
        (lambda: m.sources(()), "expected a Measurement"),
    ],
)
def test_measurements_that_cannot_be_are_refused(act, told):
    with pytest.raises(InputError, match=told):
        act()
