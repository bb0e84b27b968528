from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.scipy.special import ndtr

import sde_jax as sj
from sde_jax.data import Scaling
from sde_jax.likelihood import Bound, importance_weighted

TOLERANCE = sj.Tolerance(rtol=1e-6, atol=1e-6)


def uniform_denoiser(sde, low, high):
    """E[x0 | x] for every number of x0 uniform on [low, high]: the mean of N(x / alpha, (sigma / alpha)^2) between."""

    def denoise(x, t):
        center, spread = x / sde.alpha(t), sde.sigma(t) / sde.alpha(t)
        a, b = (low - center) / spread, (high - center) / spread
        density = jax.scipy.stats.norm.pdf
        return center + spread * (density(a) - density(b)) / (ndtr(b) - ndtr(a))

    return denoise


@pytest.mark.parametrize(
    ("levels", "low", "high"), [(17, -0.5, 0.5), pytest.param(256, -1.0, 1.0, marks=pytest.mark.slow)]
)
def test_a_model_that_knows_the_range_alone_spends_log2_of_the_levels_on_every_number(levels, low, high):
    sde, quantization = sj.VP(), sj.Quantization(levels, low, high)
    image = np.arange(4).reshape(2, 2, 1) + levels // 2
    keys = jax.random.split(jax.random.key(0), 2)

    @jax.jit
    @jax.vmap
    def bits(key):
        return sj.bits_per_dim(
            key, sde, uniform_denoiser(sde, low, high), image, quantization, divergence=sj.Exact(), tolerance=TOLERANCE
        )

    np.testing.assert_allclose(bits(keys).value, np.log2(levels), atol=1e-3)


def test_bits_are_nats_a_number_over_log_2_and_a_cell_costs_its_own_width():
    # Cells so narrow that the density is constant over each: the value is that of the cell's corner, and its error is
    # that of the trace alone.
    sde, quantization, n = sj.VP(), sj.Quantization(2**16, -4.0, 4.0), 300
    mean, covariance = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
    exact = sj.exact.GaussianDenoiser(sde, mean, covariance)
    x = np.random.default_rng(0).multivariate_normal(mean, covariance, size=n)

    @jax.jit
    @jax.vmap
    def bits(key, image):
        return sj.bits_per_dim(key, sde, exact, image, quantization, divergence=sj.Hutchinson(8), start=1e-4)

    result = bits(jax.random.split(jax.random.key(0), n), quantization.quantize(jnp.asarray(x)))
    nats = jax.vmap(lambda x: exact.log_prob(x, 1e-4))(x)
    errors = np.asarray(result.value - (-nats / (2 * np.log(2)) - np.log2(8 / 2**16)))
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(n) + 1e-4
    np.testing.assert_allclose(np.mean(np.asarray(result.standard_error) ** 2), errors.var(), rtol=0.15)
    assert np.all(result.evaluations > 0)


@pytest.mark.parametrize("bound", [False, True], ids=["flow", "bound"])
def test_bits_do_not_depend_on_the_range_of_the_data_when_the_path_is_scaled_with_it(bound):
    # On VE, x' = x / 2 and sigma' = sigma / 2 are the same model; a shift is not, by O(1 / sigma_max): the prior's.
    image, keys = np.array([100, 200]), jax.random.split(jax.random.key(0), 4)
    covariance = np.array([[0.09, 0.05], [0.05, 0.16]])

    def bits(sde, mean, covariance, quantization):
        exact = sj.exact.GaussianDenoiser(sde, mean, covariance)
        how = {"bound": partial(sj.elbo, strata=8)} if bound else {"tolerance": TOLERANCE}
        rule = lambda key: sj.bits_per_dim(key, sde, exact, image, quantization, **how)  # noqa: E731
        return jax.jit(jax.vmap(rule))(keys).value

    wide = bits(sj.VE(0.02, 100.0), np.array([1.2, 0.6]), covariance, sj.Quantization(256, 0.0, 2.0))
    narrow = bits(sj.VE(0.01, 50.0), np.array([0.6, 0.3]), covariance / 4, sj.Quantization(256, 0.0, 1.0))
    np.testing.assert_allclose(narrow, wide, rtol=2e-5)


@pytest.mark.parametrize("levels", [2, 17, 256, 1000])
def test_quantising_undoes_dequantising(levels):
    quantization = sj.Quantization(levels, low=-0.5, high=2.0)
    image = np.arange(levels)
    for seed in range(4):
        x = quantization.dequantize(jax.random.key(seed), image)
        np.testing.assert_array_equal(quantization.quantize(x), image)
    assert quantization.quantize(x).dtype == (jnp.uint8 if levels <= 256 else jnp.int32)


def test_a_dequantised_number_is_uniform_in_its_cell():
    quantization = sj.Quantization(5, low=-1.0, high=1.0)
    x = np.asarray(quantization.dequantize(jax.random.key(0), np.full(20_000, 3)))
    edges = np.linspace(-1 + 3 * 0.4, -1 + 4 * 0.4, 11)
    counts, _ = np.histogram(x, edges)
    assert counts.sum() == x.size, "some lie outside their cell"
    assert np.all(np.abs(counts - 2000) < 5 * np.sqrt(2000))


def test_what_lies_outside_the_range_goes_to_the_nearest_level():
    quantization = sj.Quantization(256)
    np.testing.assert_array_equal(quantization.quantize(jnp.array([-9.0, -1.0, 1.0, 9.0])), [0, 0, 255, 255])


@pytest.mark.parametrize(("levels", "low", "high"), [(1, -1.0, 1.0), (256, 1.0, 1.0), (256, 1.0, -1.0)])
def test_cells_without_width_are_refused(levels, low, high):
    with pytest.raises(sj.InputError, match="expected levels >= 2 and low < high"):
        sj.Quantization(levels, low, high)


QUANTIZATION, IMAGE = sj.Quantization(8, -2.0, 2.0), np.array([[1, 4], [5, 3]])
DEVIATION = 0.4


def known(key, sde, denoise, x, start):
    """The exact log-density of numbers from N(0.3, DEVIATION^2), in place of a bound."""
    value = jnp.sum(jax.scipy.stats.norm.logpdf(x, 0.3, DEVIATION))
    return Bound(value, *[jnp.zeros(())] * 5)


def ends(image):
    """The ends of the cells of an image, in standard deviations from the model's mean."""
    low = QUANTIZATION.low + QUANTIZATION.cell * image
    return (low - 0.3) / DEVIATION, (low + QUANTIZATION.cell - 0.3) / DEVIATION


def posterior(key, image):
    """The model's own distribution in the cells of an image."""
    a, b = ends(image)
    z = jax.random.truncated_normal(key, a, b)
    inside = jnp.log((ndtr(b) - ndtr(a)) * DEVIATION / QUANTIZATION.cell)
    return (z - a) / (b - a), jnp.sum(jax.scipy.stats.norm.logpdf(z) - inside)


def draws(dequantizer, n=4000):
    @jax.jit
    @jax.vmap
    def bits(key):
        return sj.bits_per_dim(
            key, sj.VP(), lambda x, t: x, IMAGE, QUANTIZATION, dequantizer=dequantizer, bound=known
        ).value

    return np.asarray(bits(jax.random.split(jax.random.key(0), n)))


def exact_bits():
    a, b = ends(IMAGE)
    return -np.mean(np.log2(scipy.stats.norm.cdf(b) - scipy.stats.norm.cdf(a)))


def test_every_dequantisation_bounds_the_discrete_model_and_importance_weights_tighten_it():
    for dequantizer in (sj.UniformCell(), sj.TruncatedNormal(0.4), sj.TruncatedNormal(2.0)):
        bits = draws(dequantizer)
        tighter = jax.vmap(lambda bits: importance_weighted(bits, 4))(jnp.asarray(bits).reshape(-1, 20))
        assert exact_bits() < bits.mean() - 4 * bits.std() / np.sqrt(len(bits))
        assert np.mean(tighter) < bits.mean() - 0.01
        everything = importance_weighted(jnp.asarray(bits), 4)  # self-averaging: the mean of p / q is P
        np.testing.assert_allclose(everything, exact_bits(), atol=0.02)


def test_the_posterior_in_the_cell_makes_every_draw_the_discrete_models_own_bits():
    np.testing.assert_allclose(draws(sj.Variational(posterior), 20), exact_bits(), rtol=1e-9)


def test_a_normal_cut_off_at_its_cell_is_the_posterior_of_a_normal_about_its_middle():
    scale = DEVIATION / QUANTIZATION.cell
    image = np.array([3])
    middle = float(QUANTIZATION.place(image, 0.5)[0])

    def about_the_middle(key, sde, denoise, x, start):
        return Bound(jnp.sum(jax.scipy.stats.norm.logpdf(x, middle, DEVIATION)), *[jnp.zeros(())] * 5)

    bits = sj.bits_per_dim(
        jax.random.key(1), sj.VP(), lambda x, t: x, image, QUANTIZATION,
        dequantizer=sj.TruncatedNormal(scale), bound=about_the_middle,
    ).value  # fmt: skip
    half = 0.5 / scale
    np.testing.assert_allclose(bits, -np.log2(1 - 2 * scipy.stats.norm.cdf(-half)), rtol=1e-9)
    u, _ = sj.TruncatedNormal(scale).fractions(jax.random.key(0), np.zeros(20_000, int))
    distribution = scipy.stats.truncnorm(-half, half, loc=0.5, scale=scale)
    assert scipy.stats.kstest(u, distribution.cdf).pvalue > 1e-3


def test_the_bits_of_the_variational_bound_are_those_of_the_flow_for_the_exact_denoiser():
    sde, quantization = sj.VP(), sj.Quantization(2**12, -4.0, 4.0)
    denoise = sj.exact.GaussianDenoiser(sde, 0.3, 0.2)
    image = np.array([1800, 2300, 2100])

    def bits(key, **settings):
        return sj.bits_per_dim(key, sde, denoise, image, quantization, start=1e-5, **settings)

    keys = jax.random.split(jax.random.key(0), 400)
    bound = jax.jit(jax.vmap(lambda key: bits(key, bound=sj.elbo)))(keys)
    flow = jax.jit(lambda key: bits(key, divergence=sj.Exact()))(keys[0])
    errors = np.asarray(bound.value) - float(flow.value)
    assert abs(errors.mean()) < 4 * errors.std() / 20 + 1e-3
    np.testing.assert_allclose(np.mean(np.asarray(bound.standard_error) ** 2), errors.var(), rtol=0.25)
    assert np.all(bound.evaluations == 64)


def test_what_makes_no_bits_is_refused():
    with pytest.raises(sj.InputError, match="expected scale > 0"):
        sj.TruncatedNormal(0.0)
    with pytest.raises(RuntimeError, match=r"expected u in \[0, 1\]"):
        draws(sj.Variational(lambda key, image: (image + 2.0, 0.0)), 1)
    with pytest.raises(sj.InputError, match="expected no divergence, tolerance or solver beside it"):
        sj.bits_per_dim(
            jax.random.key(0), sj.VP(), lambda x, t: x, IMAGE, QUANTIZATION, divergence=sj.Exact(), bound=sj.elbo
        )


@pytest.mark.parametrize("image", [[0.5], [True], jnp.ones(1)], ids=str)
def test_an_image_of_other_than_whole_numbers_has_no_cells(image):
    with pytest.raises(sj.InputError, match="expected whole numbers from 0 to 3"):
        sj.Quantization(4).dequantize(jax.random.key(0), jnp.asarray(image))


@pytest.mark.parametrize("image", [[0, 4], [-1, 0]], ids=str)
def test_numbers_that_are_no_levels_have_no_bits(image):
    def bits(image):
        return sj.bits_per_dim(jax.random.key(0), sj.VP(), lambda x, t: 0 * x, image, sj.Quantization(4), bound=sj.elbo)

    with pytest.raises(sj.InputError, match="expected whole numbers from 0 to 3"):
        bits(jnp.asarray(image))
    with pytest.raises(RuntimeError, match="no levels of Quantization"):
        jax.block_until_ready(jax.jit(bits)(jnp.asarray(image)))


def test_what_is_no_number_is_not_quantised():
    with pytest.raises(RuntimeError, match="holds NaN"):
        jax.block_until_ready(sj.Quantization(4).quantize(jnp.array([0.0, jnp.nan])))


def test_real_numbers_have_the_bits_of_their_density_in_their_own_units():
    sde, mean, deviation = sj.VP(), jnp.array([100.0, -3.0]), jnp.array([8.0, 0.5])
    scaling = Scaling((100.0, -3.0), (16.0, 0.25))
    denoise = sj.exact.GaussianDenoiser(sde, jnp.zeros(2), jnp.diag((deviation / jnp.asarray(scaling.scale)) ** 2))
    values, tolerance = jnp.array([107.0, -2.7]), sj.Tolerance(1e-7, 1e-7)
    bits = sj.bits_per_dim(jax.random.key(0), sde, denoise, values, scaling, divergence=sj.Exact(), tolerance=tolerance)
    expected = -jnp.sum(jax.scipy.stats.norm.logpdf(values, mean, deviation)) / (2 * jnp.log(2))
    np.testing.assert_allclose(bits.value, expected, atol=1e-3)


@pytest.mark.parametrize("levels", [2.5, True, "4"])
def test_levels_are_counted_in_whole_numbers(levels):
    with pytest.raises(sj.InputError, match="levels whole"):
        sj.Quantization(levels)


def test_no_numbers_and_no_draws_have_no_bits():
    sde = sj.VP()
    with pytest.raises(sj.InputError, match="expected one or more numbers"):
        sj.bits_per_dim(jax.random.key(0), sde, lambda x, t: x, jnp.zeros(0, int), sj.Quantization(4))
    with pytest.raises(sj.InputError, match="k >= 1, and size >= 1"):
        importance_weighted(jnp.zeros(0), 3)


@pytest.mark.parametrize(("u", "log_q"), [(jnp.zeros(()), 0.0), (jnp.zeros(2), jnp.zeros(2))], ids=["u", "log q"])
def test_a_dequantisation_of_another_shape_than_its_image_is_refused(u, log_q):
    with pytest.raises(sj.InputError, match="expected the image's and"):
        sj.Variational(lambda key, image: (u, log_q)).fractions(jax.random.key(0), jnp.zeros(2, int))


def test_the_cell_of_a_draw_and_the_probes_of_its_trace_have_keys_of_their_own():
    """From one key a sign would be whether the fraction is below a half."""
    told = []

    class Probes(sj.Exact):
        def probes(self, key, shape):
            told.append(jax.random.key_data(key).tolist())
            return super().probes(key, shape)

    def fractions(key, image):
        told.append(jax.random.key_data(key).tolist())
        return jnp.full(image.shape, 0.5), jnp.zeros(())

    settings = {"divergence": Probes(), "dequantizer": sj.Variational(fractions), "tolerance": sj.Tolerance(0.1, 0.1)}
    sde = sj.VP()
    denoise = sj.exact.GaussianDenoiser(sde, 0.0, 0.3)
    sj.bits_per_dim(jax.random.key(0), sde, denoise, jnp.zeros(2, int), sj.Quantization(4), **settings)
    assert len(told) == 2
    assert told[0] != told[1]
