from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import sde_jax as sj
from sde_jax.likelihood.divergence import quadratic_forms

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
SPECTRUM, BASIS = np.linalg.eigh(COVARIANCE)
TIGHT, START = sj.Tolerance(rtol=1e-9, atol=1e-9), 1e-3
KEY = jax.random.key(0)


def name(value):
    return type(value).__name__


def closed_form(sde, start=START):
    """The flow of Gaussian data: x(1) of x(start), and half the logarithm of the ratio of their covariances.

    Along every eigenvector the flow keeps the number of standard deviations from the mean; so x(1) is affine in x, and
    its density under the prior, times the determinant, is the model's own density: N(mean, ...) only as far as the
    prior is what the data become at t = 1.
    """
    first, last = (np.asarray(sde.alpha(t) ** 2 * SPECTRUM + sde.variance(t)) for t in (start, 1.0))

    def latent(x):
        z = BASIS.T @ (x - np.asarray(sde.alpha(start)) * MEAN) * np.sqrt(last / first)
        return np.asarray(sde.alpha(1.0)) * MEAN + BASIS @ z

    return latent, BASIS * (0.5 * np.log(last / first)) @ BASIS.T


def prior_log_prob(sde, x):
    return scipy.stats.norm.logpdf(x, scale=np.sqrt(sde.prior_variance())).sum()


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_likelihood_of_a_gaussian_is_that_of_its_linear_flow(sde):
    calls, x = [], np.array([0.2, -0.4])
    exact = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    def denoise(x, t):
        jax.debug.callback(lambda: calls.append(1))
        return exact(x, t)

    latent, growth = closed_form(sde)
    result = sj.log_likelihood(KEY, sde, denoise, x, divergence=sj.Exact(), tolerance=TIGHT, start=START)
    np.testing.assert_allclose(result.latent, latent(x), rtol=1e-6)
    np.testing.assert_allclose(result.value, prior_log_prob(sde, latent(x)) + np.trace(growth), atol=1e-6)
    assert result.standard_error == 0
    jax.effects_barrier()
    assert len(calls) == result.evaluations


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_likelihood_of_a_mixture_is_its_density_but_for_the_prior(sde):
    # The flow carries p_start to p_1 exactly, so the model's density is p_start(x) prior(x(1)) / p_1(x(1)).
    denoise = sj.exact.MixtureDenoiser(
        sde, np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, 0.0]]), np.stack([COVARIANCE, COVARIANCE / 4])
    )
    x = np.array([0.2, -0.4])
    result = sj.log_likelihood(KEY, sde, denoise, x, divergence=sj.Exact(), tolerance=TIGHT, start=START)
    at_the_end = prior_log_prob(sde, result.latent) - denoise.log_prob(result.latent, 1.0)
    np.testing.assert_allclose(result.value, denoise.log_prob(x, START) + at_the_end, atol=1e-6)


@dataclass(frozen=True)
class Held:
    """Given probes, each an estimate."""

    vectors: jax.Array

    def probes(self, key, shape):
        return self.vectors

    def estimates(self, matvec, probes):
        return quadratic_forms(matvec, probes)

    def standard_error(self, estimates):
        return jnp.max(estimates)


def test_a_probe_held_along_the_flow_measures_its_quadratic_form():
    # The Jacobians of a Gaussian's flow commute, so the integral of e^T J e is e^T log(S_1 / S_start) e / 2.
    sde, x = sj.VP(), np.array([0.2, -0.4])
    latent, growth = closed_form(sde)
    probes = np.array([[1.0, 1.0], [1.0, -1.0], [2.0, 0.3]])
    forms = np.einsum("ki,ij,kj->k", probes, growth, probes)
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    result = sj.log_likelihood(KEY, sde, denoise, x, divergence=Held(probes), tolerance=TIGHT, start=START)
    np.testing.assert_allclose(result.value, prior_log_prob(sde, latent(x)) + forms.mean(), atol=1e-6)
    np.testing.assert_allclose(result.standard_error, forms.max(), atol=1e-6)


def test_hutchinsons_estimate_is_unbiased_and_its_standard_error_covers_the_error():
    sde, n, probes = sj.VP(), 400, 8
    latent, growth = closed_form(sde)
    x = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=n)
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    @jax.jit
    @jax.vmap
    def score(key, x):
        return sj.log_likelihood(key, sde, denoise, x, divergence=sj.Hutchinson(probes), start=START)

    result = score(jax.random.split(KEY, n), x)
    exact = np.array([prior_log_prob(sde, latent(one)) for one in x]) + np.trace(growth)
    errors, claimed = np.asarray(result.value) - exact, np.asarray(result.standard_error)
    # e^T L e = tr L +- 2 L_12 with equal odds: two numbers leave one random sign a probe
    np.testing.assert_allclose(errors.std(), 2 * abs(growth[0, 1]) / np.sqrt(probes), rtol=0.1)
    np.testing.assert_allclose(np.mean(claimed**2), errors.var(), rtol=0.1)
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(n)
    # it covers all but the draws in which all signs agree, 2 in 256
    assert np.mean(np.abs(errors) <= 3.1 * claimed) > 0.97


def test_an_examples_likelihood_does_not_depend_on_its_batch():
    sde, denoise = sj.VE(), sj.exact.GaussianDenoiser(sj.VE(), MEAN, COVARIANCE / 100)

    @jax.jit
    @jax.vmap
    def score(key, x):
        return sj.log_likelihood(key, sde, denoise, x)

    keys, x = jax.random.split(KEY, 3), np.array([0.5, -1.1])
    one, other = score(keys, np.stack([x, 30 * x, -5 * x])), score(keys, np.stack([x, x, x]))
    assert len(set(map(int, one.evaluations))) > 1
    for field in ("value", "latent", "evaluations"):
        np.testing.assert_array_equal(getattr(one, field)[0], getattr(other, field)[0])
    assert np.all(np.isinf(one.standard_error)), "one probe knows nothing of its own error"


@pytest.mark.parametrize(("path", "sde"), [("vp", sj.VP()), ("subvp", sj.SubVP()), ("ve", sj.VE())])
def test_likelihoods_are_those_of_the_official_code_with_its_probes(golden, path, sde):
    record = np.load(golden / f"ode_lik_{path}.npz")
    denoise = sj.denoiser_of(lambda x, t: -x / (sde.alpha(t) ** 2 * 0.25 + sde.variance(t)), sde)

    @jax.jit
    @jax.vmap
    def score(x, probe):
        return sj.log_likelihood(KEY, sde, denoise, x, divergence=Held(probe[None]))

    data = np.asarray(record["data"], float)
    # the record holds the bits of its signs, 0 or 1
    probes = {"Rademacher": 2 * record["bpd_epsilon_Rademacher"] - 1, "Gaussian": record["bpd_epsilon_Gaussian"]}
    for kind, probe in probes.items():
        result = score(data, np.asarray(probe, float))
        # images centred to [-1, 1]: -log2 of a cell of 2 / 256; the official tolerance is 1e-5
        bits = -np.asarray(result.value) / (192 * np.log(2)) + 7
        np.testing.assert_allclose(bits, record[f"bpd_{kind}_centered"], atol=2e-5)
        # uncentred images keep their range [0, 1], in which a cell is 1 / 256 wide
        np.testing.assert_allclose(bits + 1, record[f"bpd_{kind}_uncentered"], atol=2e-5)
        latent = record[f"bpd_z_{kind}_centered"]
        np.testing.assert_allclose(result.latent, latent, atol=5e-5 * np.abs(latent).max())


@sj.path
class LogNormal(sj.VP):
    """VP on the logarithms of the data."""

    def from_data(self, data):
        return jnp.log(data)

    def to_data(self, x0):
        return jnp.exp(x0)

    def log_volume(self, data):
        return -jnp.sum(jnp.log(data))


def test_a_density_of_the_data_counts_the_volume_of_their_coordinates():
    sde, data = LogNormal(), np.array([0.2, 3.0])
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    result = sj.log_likelihood(KEY, sde, denoise, data, divergence=sj.Exact(), tolerance=TIGHT, start=START)
    latent, growth = closed_form(sde)
    of_x = prior_log_prob(sde, latent(np.log(data))) + np.trace(growth)
    np.testing.assert_allclose(result.value, of_x - np.log(data).sum(), atol=1e-6)


@pytest.mark.parametrize("divergence", [sj.XTrace(2), sj.HutchPP(2)], ids=name)
def test_a_deflated_trace_with_as_many_probes_as_numbers_is_the_exact_likelihood(divergence):
    sde, x = sj.VP(), np.array([0.2, -0.4])
    latent, growth = closed_form(sde)
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    result = sj.log_likelihood(
        KEY, sde, denoise, x, divergence=divergence, tolerance=TIGHT, solver=sj.ode.Dopri8(), start=START
    )
    np.testing.assert_allclose(result.value, prior_log_prob(sde, latent(x)) + np.trace(growth), atol=1e-6)
    assert result.standard_error < 1e-6


@pytest.mark.slow
def test_the_derivatives_of_a_likelihood_are_those_of_its_closed_form():
    sde, x, parameters = sj.VP(), np.array([0.2, -0.4]), (np.array([0.5, -1.0]), 0.4)

    def value(x, parameters, differentiable):
        denoise = sj.exact.GaussianDenoiser(sde, *parameters)
        tolerance = sj.Tolerance(1e-8, 1e-8, max_steps=256)
        return sj.log_likelihood(
            KEY, sde, denoise, x, divergence=sj.Exact(), tolerance=tolerance, start=START, differentiable=differentiable
        ).value

    def closed(x, parameters):  # of N(mean, variance I), as in `closed_form`
        mean, variance = parameters
        first, last = (sde.alpha(t) ** 2 * variance + sde.variance(t) for t in (START, 1.0))
        latent = sde.alpha(1.0) * mean + jnp.sqrt(last / first) * (x - sde.alpha(START) * mean)
        return sde.prior_log_prob(latent) + jnp.log(last / first)

    expected = jax.grad(closed, (0, 1))(x, parameters)
    ours = jax.jit(jax.grad(lambda x, p: value(x, p, True), (0, 1)))(x, parameters)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, expected)
    tangents = (np.array([1.0, -2.0]), (np.array([0.3, 0.5]), 0.7))
    forward = jax.jit(lambda x, p: jax.jvp(lambda x, p: value(x, p, False), (x, p), tangents)[1])(x, parameters)
    product = sum(np.sum(a * b) for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(tangents), strict=True))
    np.testing.assert_allclose(forward, product, rtol=1e-5)


def test_one_compilation_serves_every_key_condition_and_parameter():
    traces = []

    @jax.jit
    def score(key, sde, scale, condition, x):
        traces.append(1)
        # each number depends on the other, so that the probe, hence the key, matters
        return sj.log_likelihood(key, sde, lambda x, t: condition + scale * jnp.tanh(x[::-1]), x, start=START).value

    settings = KEY, sj.VP(), jnp.asarray(0.1), jnp.zeros(2), jnp.array([0.2, -0.4])
    others = jax.random.key(5), sj.VP(beta_max=10.0), jnp.asarray(0.3), jnp.ones(2), jnp.array([0.3, 0.1])
    first = score(*settings)
    for n, other in enumerate(others):
        assert abs(first - score(*settings[:n], other, *settings[n + 1 :])) > 1e-3
    assert score(*settings) == first
    assert len(traces) == 1


def test_an_x_that_is_no_number_is_refused():
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    with pytest.raises(RuntimeError, match="holds NaN or infinity: expected finite numbers"):
        sj.log_likelihood(KEY, sj.VP(), denoise, np.array([np.nan, 0.0]))
