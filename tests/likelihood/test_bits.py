import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import ndtr

import sde_jax as sj

TOLERANCE = sj.Tolerance(rtol=1e-6, atol=1e-6)


def uniform_denoiser(sde, low, high):
    """E[x0 | x] for every number of x0 uniform on [low, high]: the mean of N(x / alpha, (sigma / alpha)^2) between."""

    def denoise(x, t):
        center, spread = x / sde.alpha(t), sde.sigma(t) / sde.alpha(t)
        a, b = (low - center) / spread, (high - center) / spread
        density = jax.scipy.stats.norm.pdf
        return center + spread * (density(a) - density(b)) / (ndtr(b) - ndtr(a))

    return denoise


@pytest.mark.parametrize(("levels", "low", "high"), [(17, -0.5, 0.5), (256, -1.0, 1.0)])
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
