import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

MEAN, VARIANCE, START = np.array([0.5, -1.0]), 0.3, 1e-5


@sj.path
class LogNormal(sj.VP):
    """VP with another prior on the logarithms of the data."""

    def from_data(self, data):
        return jnp.log(data)

    def log_volume(self, data):
        return -jnp.sum(jnp.log(data))

    def prior_mean(self):
        return jnp.array([1.0, -2.0])

    def prior_variance(self):
        return jnp.asarray(1.5)

    def offset(self, t):
        return jnp.sin(t) * jnp.array([2.0, -1.0])


def diffusion_of(sde, x0, mean, start):
    """The diffusion loss of numbers from N(mean, S = VARIANCE).

    x_0 - D = (x_0 - m) sigma^2 / V - alpha S sigma eps / V with V = alpha^2 S + sigma^2, so that it is the integral of
    a rational function of the signal-to-noise ratio.
    """
    low, high = (1 + VARIANCE * np.exp(2 * float(sde.log_snr(t))) for t in (1.0, start))
    spread = 0.5 * (np.log(high / low) + 1 / high - 1 / low)
    return (x0 - mean) ** 2 / (2 * VARIANCE) * (1 / low - 1 / high) + spread


def closed_form(sde, x0, start):
    """Prior, diffusion and reconstruction for data from N(MEAN, VARIANCE I)."""
    ratio = float(sde.variance(1.0) / sde.prior_variance())
    away = np.asarray(sde.alpha(1.0)) * x0 + np.asarray(sde.offset(1.0)) - np.asarray(sde.prior_mean())
    prior = 0.5 * (ratio + away**2 / float(sde.prior_variance()) - 1 - np.log(ratio))
    decoder = 0.5 * np.log(2 * np.pi * np.e) - float(sde.log_snr(start))
    return prior.sum(), diffusion_of(sde, x0, MEAN, start).sum(), -decoder * len(x0)


@pytest.mark.parametrize(
    "sde", [sj.VP(), sj.VE(), LogNormal(), sj.MeanReverting(MEAN + 3, 0.7)], ids=lambda sde: type(sde).__name__
)
def test_the_bound_of_a_gaussian_is_its_closed_form_within_its_standard_error(sde):
    data, n = np.array([0.4, 1.7]), 600
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE)
    bounds = jax.jit(jax.vmap(lambda key: sj.elbo(key, sde, denoise, data, strata=8, start=START)))(
        jax.random.split(jax.random.key(0), n)
    )
    x0 = np.asarray(sde.from_data(data))
    prior, diffusion, reconstruction = closed_form(sde, x0, START)
    np.testing.assert_allclose(bounds.prior, prior, rtol=1e-9)
    np.testing.assert_allclose(bounds.reconstruction, reconstruction, rtol=1e-9)
    errors = np.asarray(bounds.diffusion) - diffusion
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(n)
    np.testing.assert_allclose(np.mean(np.asarray(bounds.standard_error) ** 2), errors.var(), rtol=0.2)
    whole = float(sde.log_volume(data)) + reconstruction - prior - diffusion
    np.testing.assert_allclose(np.asarray(bounds.value) + errors, whole, rtol=1e-9)
    assert np.all(bounds.evaluations == 16)


@pytest.mark.parametrize("sde", [sj.VP(), sj.VE(sigma_max=500.0)], ids=lambda sde: type(sde).__name__)
def test_the_bound_of_the_exact_denoiser_is_tight(sde):
    # what is missing: the prior in place of p_1, and the decoder's in place of the exact posterior's variance
    x0 = np.array([0.4, 1.7])
    prior, diffusion, reconstruction = closed_form(sde, x0, START)
    exact = sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE).log_prob(x0, START)
    np.testing.assert_allclose(reconstruction - prior - diffusion, exact, atol=1e-3)


FAR = sj.MeanReverting(10.0, 1.0, sj.sde.ConstantReversion(delta=0.2))


def test_the_mean_bound_is_the_mean_log_likelihood_where_the_log_snr_ends_nowhere():
    # both are quadratic in x0, so that the mean over a Gaussian is that over its mean +- deviation
    sde, data = sj.RectifiedFlow(), MEAN + np.sqrt(VARIANCE) * np.array([[1.0], [-1.0]])
    denoise, start = sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE), 1e-3

    @jax.jit
    @jax.vmap
    def exact(x):
        return sj.log_likelihood(jax.random.key(0), sde, denoise, x, divergence=sj.Exact(), start=start).value

    @jax.jit
    @jax.vmap
    def bound(key):
        return jax.vmap(lambda x: sj.elbo(key, sde, denoise, x, start=start).value)(data).mean()

    bounds = np.asarray(bound(jax.random.split(jax.random.key(0), 256)))
    assert abs(bounds.mean() - np.mean(exact(jnp.asarray(data)))) < 4 * bounds.std() / 16


def test_the_bound_of_data_far_from_the_prior_is_the_likelihood_of_the_flow():
    # x1 = 8 for x0 = 0, of which the prior N(10, 1) has the density exp(-2) / sqrt(2 pi)
    denoise, expected = sj.exact.GaussianDenoiser(FAR, np.zeros(2), 1.0), -4 - np.log(2 * np.pi)
    flow = sj.log_likelihood(jax.random.key(0), FAR, denoise, jnp.zeros(2), divergence=sj.Exact())
    np.testing.assert_allclose(flow.value, expected, atol=2e-3)
    bounds = jax.jit(jax.vmap(lambda key: sj.elbo(key, FAR, denoise, jnp.zeros(2), start=1e-3).value))(
        jax.random.split(jax.random.key(0), 512)
    )
    assert abs(bounds.mean() - expected) < 4 * bounds.std() / np.sqrt(512)


def test_a_worse_denoiser_has_a_lower_bound_on_the_data():
    sde = sj.VP()
    exact = sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE)

    @jax.jit
    @jax.vmap
    def loss(key):
        x0 = MEAN + jnp.sqrt(VARIANCE) * jax.random.normal(key, (2,))
        worse = sj.elbo(key, sde, lambda x, t: exact(x, t) + 0.1 * sde.sigma(t), x0, strata=8)
        return sj.elbo(key, sde, exact, x0, strata=8).value - worse.value

    # the error of 0.1 sigma in each of two numbers costs 0.01 alpha^2 each, integrated over lambda
    half = np.linspace(float(sde.log_snr(1.0)), float(sde.log_snr(START)), 4001)
    expected = 0.02 * np.trapezoid(1 / (1 + np.exp(-2 * half)), half)
    difference = np.asarray(loss(jax.random.split(jax.random.key(0), 1000)))
    assert abs(difference.mean() - expected) < 4 * difference.std() / np.sqrt(1000)
    assert difference.mean() > 4 * difference.std() / np.sqrt(1000)


def test_the_bound_of_a_diagonal_schedule_weighs_every_number_by_its_own_speed():
    @sj.path
    class Diagonal(sj.GaussianPath):
        def log_alpha(self, t):
            return -0.5 * t * jnp.array([4.0, 12.0])

        def variance(self, t):
            return -jnp.expm1(-t * jnp.array([4.0, 12.0]))

    x0, n, keys = np.array([0.4, 1.7]), 2000, jax.random.split(jax.random.key(0), 2000)
    sde = Diagonal()
    bounds = jax.jit(
        jax.vmap(lambda key: sj.elbo(key, sde, sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE), x0, start=1e-3))
    )(keys)
    alone = [sj.VP(4.0, 4.0), sj.VP(12.0, 12.0)]
    expected = sum(diffusion_of(path, *numbers, 1e-3) for path, *numbers in zip(alone, x0, MEAN, strict=True))
    errors = np.asarray(bounds.diffusion) - expected
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(n)


def test_what_has_no_bound_is_refused():
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, VARIANCE)
    for setting in ({"strata": 0}, {"start": 1.0}):
        with pytest.raises(sj.InputError, match="expected strata >= 1 and 0 <= start < 1"):
            sj.elbo(jax.random.key(0), sj.VP(), denoise, jnp.zeros(2), **setting)
    with pytest.raises(RuntimeError, match="log_snr is infinite"):
        sj.elbo(jax.random.key(0), sj.VP(), denoise, jnp.zeros(2), start=0.0)
    plane = sj.Product({"a": (sj.VP(), (2,))}, project=lambda tree: {"a": tree["a"] - tree["a"].mean()})
    with pytest.raises(sj.InputError, match="a density on a subspace only"):
        sj.elbo(jax.random.key(0), plane, denoise, {"a": jnp.zeros(2)})
    with pytest.raises(sj.InputError, match="a process that restores, given nothing"):
        sj.elbo(jax.random.key(0), sj.sde.Restoration(), denoise, jnp.zeros(2))
    with pytest.raises(RuntimeError, match="hold NaN or infinity"):
        sj.elbo(jax.random.key(0), sj.VP(), denoise, jnp.array([jnp.nan, 0.0]))
