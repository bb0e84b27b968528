import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import sde_jax as sj
from sde_jax.likelihood import Gaussian, Rademacher
from sde_jax.likelihood.divergence import linear, quadratic_forms


def field(x):
    return jnp.stack([jnp.sin(x[0]) * x[1], x[2] ** 2, x[0] * x[1] * x[2]])


X = np.array([0.3, -0.7, 1.2])
JACOBIAN = np.array([[np.cos(0.3) * -0.7, np.sin(0.3), 0.0], [0.0, 0.0, 2.4], [-0.7 * 1.2, 0.3 * 1.2, 0.3 * -0.7]])
# not symmetric, with singular values that fall fast
LEFT, RIGHT = (np.linalg.qr(np.random.default_rng(seed).normal(size=(12, 12)))[0] for seed in (0, 1))
DECAYING = (LEFT * 0.4 ** np.arange(12)) @ (0.9 * LEFT + 0.1 * RIGHT).T


def products(matrix):
    return lambda vectors: (vectors.reshape(len(vectors), -1) @ matrix.T).reshape(vectors.shape)


def many(divergence, matrix, n=4000):
    """The estimates [n] of n keys, and their standard errors."""

    @jax.jit
    @jax.vmap
    def one(key):
        probes = divergence.probes(key, (3, 4))
        estimates = divergence.estimates(products(matrix), probes)
        return jnp.mean(estimates), divergence.standard_error(estimates)

    return map(np.asarray, one(jax.random.split(jax.random.key(0), n)))


def test_a_field_and_its_jacobians_products_come_from_one_evaluation():
    calls = []

    def counted(x):
        jax.debug.callback(lambda: calls.append(1))
        return field(x)

    probes = np.random.default_rng(0).normal(size=(4, 3))
    value, matvec = linear(counted, jnp.asarray(X))
    np.testing.assert_allclose(value, field(X))
    np.testing.assert_allclose(matvec(probes), probes @ JACOBIAN.T)
    np.testing.assert_allclose(quadratic_forms(matvec, probes), np.einsum("ki,ij,kj->k", probes, JACOBIAN, probes))
    jax.effects_barrier()
    assert len(calls) == 1


def test_the_mean_over_all_signs_is_the_trace():
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    forms = sj.Hutchinson(8).estimates(products(JACOBIAN), signs)
    np.testing.assert_allclose(jnp.mean(forms), np.trace(JACOBIAN))


def test_the_mean_over_all_signs_of_the_rest_is_the_trace_whatever_the_sketch():
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))[[0, 1, 3, 2, 5, 4, 6, 7]]
    for sketch in ([[1.0, 1.0, 1.0]], [[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]):
        estimates = []
        for start in range(0, 8, len(sketch)):
            probes = np.concatenate([sketch, signs[start : start + len(sketch)]])
            estimates.extend(sj.HutchPP(len(sketch)).estimates(products(JACOBIAN), jnp.asarray(probes)))
        assert np.std(estimates) > 1e-3
        np.testing.assert_allclose(np.mean(estimates), np.trace(JACOBIAN))


def test_the_exact_divergence_is_the_trace_whatever_the_shape():
    for shape in ((3,), (1, 3, 1)):
        divergence = sj.Exact()
        estimates = divergence.estimates(products(JACOBIAN), divergence.probes(jax.random.key(0), shape))
        np.testing.assert_allclose(estimates, [np.trace(JACOBIAN)])
        assert divergence.standard_error(estimates) == 0


@pytest.mark.parametrize(("probe", "fourth"), [(Rademacher(), 1.0), (Gaussian(), 3.0)], ids=str)
def test_probes_are_independent_of_mean_0_and_variance_1(probe, fourth):
    drawn = np.asarray(sj.Hutchinson(4096, probe).probes(jax.random.key(0), (2, 2))).reshape(4096, 4)
    np.testing.assert_allclose(drawn.T @ drawn / 4096, np.eye(4), atol=5 * np.sqrt(2) / 64)
    np.testing.assert_allclose(drawn.mean(0), 0.0, atol=5 / 64)
    np.testing.assert_allclose(np.mean(drawn**4), fourth, rtol=0.1)


@pytest.mark.parametrize("probe", [Rademacher(), Gaussian()], ids=str)
def test_hutchinsons_variance_is_that_of_its_probes(probe):
    value, error = many(sj.Hutchinson(4, probe), DECAYING)
    symmetric = (DECAYING + DECAYING.T) / 2
    variance = 2 * np.sum(symmetric**2) - (2 * np.sum(np.diag(symmetric) ** 2) if probe == Rademacher() else 0)
    assert abs(value.mean() - np.trace(DECAYING)) < 4 * value.std() / np.sqrt(len(value))
    np.testing.assert_allclose(value.var(), variance / 4, rtol=0.15)
    np.testing.assert_allclose(np.mean(error**2), variance / 4, rtol=0.15)


@functools.cache
def hutchinsons():
    value, _ = many(sj.Hutchinson(12), DECAYING)
    return value


@pytest.mark.parametrize("divergence", [sj.HutchPP(4), sj.XTrace(6)], ids=str)
def test_a_deflated_trace_is_unbiased_with_a_smaller_error_than_hutchinsons_for_as_many_products(divergence):
    value, error = many(divergence, DECAYING)
    plain = hutchinsons()
    assert abs(value.mean() - np.trace(DECAYING)) < 4 * value.std() / np.sqrt(len(value))
    assert value.std() < 0.15 * plain.std()
    # the standard error is HutchPP's own; XTrace's errs on the safe side where spectra fall fast, as this one's does
    if isinstance(divergence, sj.HutchPP):
        np.testing.assert_allclose(np.mean(error**2), value.var(), rtol=0.15)
    else:
        assert value.var() < np.mean(error**2) < 4 * value.var()


SPECTRA = {"signs": (-1.0) ** np.arange(12), "slow": 0.9 ** np.arange(12), "inverse": 1 / np.arange(1.0, 13.0)}


@pytest.mark.parametrize("divergence", [sj.Hutchinson(4), sj.HutchPP(2), sj.HutchPP(4), sj.XTrace(4)], ids=str)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_an_interval_of_students_t_covers_the_trace_as_often_as_it_says(divergence, spectrum):
    matrix = LEFT * SPECTRA[spectrum] @ LEFT.T
    value, error = many(divergence, matrix, 2000)
    missed = value - np.trace(matrix)
    k = divergence.probes_per_example
    assert 0.85 < np.sqrt(np.mean(error**2) / np.mean(missed**2)) < 1.3
    covered = np.mean(np.abs(missed) < scipy.stats.t.ppf(0.95, k - 1) * error)
    assert 0.83 < covered < 0.97, covered


def test_the_spread_of_xtraces_estimates_alone_would_be_too_small():
    divergence, matrix = sj.XTrace(4), LEFT * SPECTRA["slow"] @ LEFT.T

    def one(key):
        return divergence.estimates(products(matrix), divergence.probes(key, (3, 4)))

    estimates = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 2000)))
    spread = estimates[:, :4].var(axis=1, ddof=1) / 4
    assert np.mean(spread) < 0.6 * estimates.mean(axis=1).var()


@pytest.mark.parametrize(
    ("divergence", "rank"), [(sj.HutchPP(12), 12), (sj.HutchPP(3), 3), (sj.XTrace(12), 12), (sj.XTrace(4), 3)], ids=str
)
def test_a_deflated_trace_is_exact_where_its_probes_span_the_range(divergence, rank):
    matrix = LEFT[:, :rank] @ np.diag(np.arange(1.0, rank + 1)) @ (LEFT + RIGHT)[:, :rank].T
    value, error = many(divergence, matrix, 50)
    np.testing.assert_allclose(value, np.trace(matrix), rtol=1e-7)
    assert np.all(error < 1e-6)


@pytest.mark.parametrize("divergence", [sj.HutchPP(4), sj.XTrace(4)], ids=str)
def test_a_deflated_trace_of_nothing_is_zero(divergence):
    value, error = many(divergence, np.zeros((12, 12)), 3)
    np.testing.assert_array_equal(value, 0.0)
    np.testing.assert_array_equal(error, 0.0)


def test_the_standard_error_is_that_of_a_mean():
    estimates = jnp.array([1.0, 2.0, 4.0, 9.0])
    expected = np.std(estimates, ddof=1) / 2
    np.testing.assert_allclose(sj.Hutchinson(4).standard_error(estimates), expected)
    assert sj.Hutchinson(1).standard_error(estimates[:1]) == jnp.inf


def test_too_few_and_too_many_probes_are_refused():
    for divergence in (sj.Hutchinson, sj.HutchPP):
        with pytest.raises(sj.InputError, match="expected at least one probe"):
            divergence(0)
    with pytest.raises(sj.InputError, match="expected two or more probes"):
        sj.XTrace(1)
    with pytest.raises(sj.InputError, match="expected no more probes than numbers in x; take Exact"):
        sj.XTrace(5).probes(jax.random.key(0), (2, 2))


def test_of_two_probes_the_jackknife_of_xtrace_is_that_of_each_alone():
    """Without both there is no basis: T_i = n w^T J w / |w|^2 of the one left, and T - (m - 1) (T_i - mean)."""
    n, rng = 5, np.random.default_rng(4)
    j, w = rng.normal(size=(n, n)), rng.normal(size=(2, n))
    estimates = np.asarray(sj.XTrace(2).estimates(lambda v: v @ j.T, jnp.asarray(w)))
    alone = n * np.einsum("ki,ij,kj->k", w, j, w)[::-1] / np.sum(w**2, 1)[::-1]
    np.testing.assert_allclose(estimates[2:], estimates[:2].mean() - (alone - alone.mean()), rtol=1e-4)
