"""Bits per dimension: from densities of the continuum to probabilities of grey levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import sde_jax as sj

SDE, SCALE = sj.VE(1e-3, 200.0), 0.4


@pytest.mark.parametrize(
    ("levels", "low", "high"), [(17, -1.0, 1.0), (256, -1.0, 1.0), (256, 0.0, 1.0), (4, -3.0, 5.0)]
)
def test_bits_are_minus_log2_of_a_cell_under_the_density(levels, low, high):
    # A uniform draw from the cell estimates the mean of log2 p over it.
    quantization = sj.Quantization(levels, low, high)
    denoise = sj.exact.GaussianDenoiser(SDE, 0.0, SCALE**2)
    level = levels // 3
    keys = jax.random.split(jax.random.key(0), 400)
    image = jnp.full((2, 1), level)
    draw = jax.jit(
        jax.vmap(
            lambda key: sj.bits_per_dim(
                key, SDE, denoise, image, quantization, divergence=sj.Exact(), tolerance=sj.Tolerance(1e-6, 1e-6)
            )
        )
    )
    bits = draw(keys).value
    width = (high - low) / levels
    edges = low + width * level, low + width * (level + 1)
    density = stats.norm(0.0, np.hypot(SCALE, SDE.sigma(1e-5)))
    expected = -integrate.quad(density.logpdf, *edges)[0] / width / np.log(2) - np.log2(width)
    assert abs(bits.mean() - expected) < 4 * bits.std() / np.sqrt(len(keys)) + 2e-4


@pytest.mark.parametrize("levels", [2, 17, 256, 1000])
def test_quantising_a_dequantised_image_returns_it(levels):
    quantization = sj.Quantization(levels, -1.0, 1.0)
    image = jnp.arange(levels)
    x = quantization.dequantize(jax.random.key(0), image)
    assert jnp.all(quantization.quantize(x) == image)
    assert jnp.all((x >= -1) & (x < 1))


def test_dequantisation_is_uniform_over_the_cell():
    x = sj.Quantization(17).dequantize(jax.random.key(0), jnp.full(20_000, 5))
    assert stats.kstest((x - (-1 + 5 * 2 / 17)) / (2 / 17), "uniform").pvalue > 1e-3


def test_what_lies_outside_the_interval_goes_to_its_ends():
    assert sj.Quantization(17).quantize(jnp.array([-7.0, 7.0])).tolist() == [0, 16]


@pytest.mark.parametrize(("levels", "low", "high"), [(1, -1.0, 1.0), (8, 1.0, 1.0), (8, 1.0, -1.0)])
def test_a_quantization_that_is_none_is_refused(levels, low, high):
    with pytest.raises(sj.InputError, match="expected levels >= 2 and low < high"):
        sj.Quantization(levels, low, high)
