"""Log-likelihood by the probability flow, against closed forms and the official code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import grids

MEAN, COVARIANCE = np.array([0.5, -0.3, 0.1]), np.array([[0.5, 0.2, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.2]])
TIGHT = sj.Tolerance(1e-9, 1e-9)
START = 1e-4
PATHS = [sj.VP(), sj.SubVP(), sj.VE(0.01, 20.0)]


def flow_density(sde, x):
    """The model's own log-density at START: the affine flow carries x to the prior.

    Along eigenvectors of the covariance the flow keeps (x_t - alpha_t m) / s_t, s_t^2 = alpha_t^2 v + sigma_t^2.
    """
    spectrum, basis = np.linalg.eigh(COVARIANCE)
    scale = [np.sqrt(sde.alpha(t) ** 2 * spectrum + sde.variance(t)) for t in (START, 1.0)]
    whitened = (basis.T @ (x - sde.alpha(START) * MEAN)) / scale[0]
    latent = sde.alpha(1.0) * MEAN + basis @ (scale[1] * whitened)
    return sde.prior_log_prob(latent) + np.sum(np.log(scale[1] / scale[0])), latent


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_exact_trace_gives_the_density_of_the_affine_flow(sde):
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    x = jnp.array([0.7, 0.4, -0.6])
    result = sj.log_likelihood(jax.random.key(0), sde, denoise, x, divergence=sj.Exact(), tolerance=TIGHT, start=START)
    value, latent = flow_density(sde, x)
    np.testing.assert_allclose(result.value, value, atol=1e-6)
    np.testing.assert_allclose(result.latent, latent, atol=1e-6)
    assert result.standard_error == 0


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_exact_trace_gives_the_density_of_a_mixture(sde):
    # The flow is exact, the prior is not p_1: exchanging the one for the other gives the mixture's own density.
    means, variances = np.array([[1.0, 0.5], [-1.0, 0.2]]), np.array([0.2, 0.4])
    denoise = sj.exact.MixtureDenoiser(sde, np.array([0.3, 0.7]), means, variances)

    def density(x):
        result = sj.log_likelihood(
            jax.random.key(0), sde, denoise, x, divergence=sj.Exact(), tolerance=TIGHT, start=START
        )
        return result.value - sde.prior_log_prob(result.latent) + denoise.log_prob(result.latent, 1.0)

    points = jnp.array([[1.0, 0.5], [0.0, 0.0], [-2.0, 1.0]])
    expected = jax.vmap(lambda x: denoise.log_prob(x, START))(points)
    np.testing.assert_allclose(jax.vmap(density)(points), expected, atol=1e-6)


def test_hutchinson_is_unbiased_and_its_standard_error_covers_its_error():
    sde, x = sj.VP(), jnp.array([0.7, 0.4, -0.6])
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    def estimate(key):
        return sj.log_likelihood(key, sde, denoise, x, divergence=sj.Hutchinson(8), start=START)

    results = jax.jit(jax.vmap(estimate))(jax.random.split(jax.random.key(1), 200))
    z = (results.value - flow_density(sde, x)[0]) / results.standard_error
    spread = np.std(results.value) / np.sqrt(200)
    assert abs(np.mean(results.value) - flow_density(sde, x)[0]) < 4 * spread
    assert np.mean(np.abs(z) < 2.4) > 0.85  # 95% for normal errors; three signs make coarser ones
    np.testing.assert_allclose(np.mean(results.standard_error**2), np.var(results.value), rtol=0.3)


def test_one_probe_has_no_standard_error_to_offer():
    sde = sj.VP()
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    result = sj.log_likelihood(jax.random.key(0), sde, denoise, jnp.zeros(3), tolerance=sj.Tolerance(1e-2, 1e-2))
    assert result.standard_error == jnp.inf
    assert jnp.isfinite(result.value)


def test_the_value_of_an_example_does_not_depend_on_its_batch():
    sde = sj.VP()
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    keys, x = jax.random.split(jax.random.key(2), 4), jnp.linspace(-3, 3, 12).reshape(4, 3)
    score = jax.vmap(lambda key, x: sj.log_likelihood(key, sde, denoise, x, tolerance=sj.Tolerance(1e-4, 1e-4)))
    together, alone = score(keys, x), score(keys[2:3], x[2:3])
    np.testing.assert_allclose(together.value[2], alone.value[0], rtol=1e-12)
    assert together.evaluations[2] == alone.evaluations[0]


def test_decoding_the_latent_returns_the_example():
    sde, x = sj.SubVP(), jnp.array([0.7, 0.4, -0.6])
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    latent = sj.log_likelihood(jax.random.key(0), sde, denoise, x, tolerance=TIGHT, start=START).latent
    flow = sj.ProbabilityFlow(TIGHT).solve(
        jax.random.key(0), latent, jnp.asarray(grids.uniform(1, START)), 0, sde=sde, denoise=denoise
    )
    np.testing.assert_allclose(flow.x, x, atol=1e-6)


@pytest.mark.parametrize(("name", "sde"), [("vp", sj.VP()), ("subvp", sj.SubVP()), ("ve", sj.VE())])
def test_bits_per_dim_are_those_of_the_official_code(golden, name, sde):
    # N(0, I / 4) with its exact score. The Jacobian is a multiple of 1, so that signs estimate its trace exactly. The
    # recorded runs are float32 at a tolerance of 1e-5, for images in [-1, 1] of 256 levels.
    record = np.load(golden / f"ode_lik_{name}.npz")
    denoise = sj.exact.GaussianDenoiser(sde, 0.0, 0.25)
    data = jnp.asarray(record["data"], float)
    result = jax.vmap(
        lambda x: sj.log_likelihood(jax.random.key(0), sde, denoise, x, tolerance=sj.Tolerance(1e-7, 1e-7))
    )
    result = result(data)
    bits = -result.value / (data[0].size * np.log(2)) - np.log2(sj.Quantization(256).cell)
    np.testing.assert_allclose(bits, record["bpd_Rademacher_centered"], atol=1e-4)
    latent = record["bpd_z_Rademacher_centered"]
    np.testing.assert_allclose(result.latent, latent, atol=1e-4 * np.abs(latent).max())


def test_a_tolerance_that_is_not_reached_is_an_error():
    sde = sj.VP()
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    with pytest.raises(RuntimeError, match="did not reach rtol=1e-09, atol=1e-09 within 3 steps"):
        jax.block_until_ready(
            sj.log_likelihood(jax.random.key(0), sde, denoise, jnp.zeros(3), tolerance=sj.Tolerance(1e-9, 1e-9, 3))
        )


def test_no_probe_at_all_is_refused():
    with pytest.raises(sj.InputError, match="at least one probe"):
        sj.Hutchinson(0)
