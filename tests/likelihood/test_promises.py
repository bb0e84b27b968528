"""Numbers that users can rely on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

N, START = 6, 1e-5
RNG = np.random.default_rng(0)
MEAN, SPECTRUM = RNG.normal(size=N) / 2, np.linspace(0.05, 0.4, N)
MEANS, WEIGHTS = RNG.normal(size=(3, N)) / 2, np.array([0.5, 0.3, 0.2])


def exact_bits(sde, oracle, latent, x):
    """Of the flow's own model: it carries p_start to p_1, so that its density is p_start(x) prior(x(1)) / p_1(x(1))."""
    nats = oracle.log_prob(x, START) + sde.prior_log_prob(latent) - oracle.log_prob(latent, 1.0)
    return -nats / (N * np.log(2))


CASES = [
    (sj.VE(), "Gaussian"),
    pytest.param(sj.VP(), "mixture", marks=pytest.mark.slow),
    pytest.param(sj.VP(), "Gaussian", marks=pytest.mark.slow),
    pytest.param(sj.VE(), "mixture", marks=pytest.mark.slow),
    pytest.param(sj.SubVP(), "Gaussian", marks=pytest.mark.slow),
    pytest.param(sj.SubVP(), "mixture", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("sde", "kind"), CASES, ids=str)
def test_bits_in_float32_are_within_1e_4_at_the_default_tolerance(sde, kind):
    def oracle():
        if kind == "Gaussian":
            return sj.exact.GaussianDenoiser(sde, MEAN, SPECTRUM)
        return sj.exact.MixtureDenoiser(sde, WEIGHTS, MEANS, np.array([0.1, 0.2, 0.05]))

    def flow(x, tolerance):
        score = jax.vmap(
            lambda x: sj.log_likelihood(
                jax.random.key(0), sde, oracle(), x, divergence=sj.Exact(), tolerance=tolerance, start=START
            )
        )
        return jax.jit(score)(x)

    middle, deviation = (MEAN, np.sqrt(SPECTRUM)) if kind == "Gaussian" else (MEANS[[0, 1, 1, 2]], 0.3)
    x = middle + deviation * np.random.default_rng(1).normal(size=(4, N))
    with jax.enable_x64(False):
        ours = flow(jnp.asarray(x), sj.Tolerance(1e-5, 1e-5))
        assert ours.value.dtype == jnp.float32
    latent = flow(x, sj.Tolerance(1e-9, 1e-9)).latent
    exact = [exact_bits(sde, oracle(), latent, x) for latent, x in zip(latent, x, strict=True)]
    np.testing.assert_allclose(-np.asarray(ours.value, float) / (N * np.log(2)), exact, atol=1e-4)


def test_hutchinsons_standard_error_covers_at_its_nominal_rate():
    # probes are Gaussian, so that forms are sums of chi-squares of N = 6 scales: with 16 of them nearly normal
    sde, x, probes, n = sj.VP(), MEAN + 0.1, 16, 1000
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, SPECTRUM)
    divergence = sj.Hutchinson(probes, sj.likelihood.Gaussian())

    @jax.jit
    def both(keys):
        def one(key, divergence):
            return sj.log_likelihood(key, sde, denoise, x, divergence=divergence, start=START)

        return jax.vmap(lambda key: one(key, divergence))(keys), one(keys[0], sj.Exact()).value

    result, exact = both(jax.random.split(jax.random.key(0), n))
    z = np.asarray((result.value - exact) / result.standard_error)
    # Student's t of 15 degrees: within 1.753 at 90%, 2.131 at 95%; three binomial deviations either side
    for bound, rate in ((1.753, 0.9), (2.131, 0.95)):
        assert abs(np.mean(np.abs(z) < bound) - rate) < 3 * np.sqrt(rate * (1 - rate) / n) + 0.01
