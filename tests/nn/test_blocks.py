import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.nn import FIR, BigGANBlock, Box, DDPMBlock, GroupNormalization, Swish
from sde_jax.nn.blocks import Style, skip_sum
from sde_jax.nn.layers import conv1x1, conv3x3, dense, variance_scaling
from sde_jax.nn.resample import downsample_mean


def style(dropout=0.0, init_scale=1.0, skip_rescale=True, resampling=None, embedding=4):
    norm = GroupNormalization(groups=None)
    return Style(embedding, dropout, init_scale, skip_rescale, Swish(), norm, resampling or Box())


def block(inputs=8, outputs=8, kind=None, **fields):
    return (kind or BigGANBlock()).block(inputs, outputs, style(**fields), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.0])
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), [((256, 64), 256, 64), ((3, 3, 64, 32), 576, 288)])
def test_initial_weights_are_uniform_with_variance_scale_over_mean_fan(scale, shape, fan_in, fan_out):
    weights = variance_scaling(scale)(jax.random.key(0), shape, jnp.float32)
    variance = (scale or 1e-10) / ((fan_in + fan_out) / 2)
    standardised = np.asarray(weights, np.float64).ravel() / np.sqrt(variance)
    four_sigma = 4 / np.sqrt(standardised.size)
    assert abs(standardised.mean()) < four_sigma
    assert abs((standardised**2).mean() - 1) < four_sigma
    assert np.sqrt(3) * 0.999 < np.abs(standardised).max() < np.sqrt(3) * 1.001


def test_layers_start_at_their_init_scale_and_without_bias():
    rngs = nnx.Rngs(0)
    for layer, mean_fan, scale in (
        (dense(64, 128, rngs=rngs), 96, 1.0),
        (dense(64, 128, init_scale=0.1, rngs=rngs), 96, 0.1),
        (conv1x1(64, 128, rngs=rngs), 96, 1.0),
        (conv3x3(16, 32, rngs=rngs), 9 * 24, 1.0),
        (conv3x3(16, 32, init_scale=0.0, rngs=rngs), 9 * 24, 1e-10),
    ):
        weights = np.asarray(layer.kernel[...], np.float64)
        assert abs(weights.var() * mean_fan / scale - 1) < 4 / np.sqrt(weights.size)
        assert not np.any(layer.bias[...])


def test_a_rescaled_sum_keeps_the_variance_of_independent_terms():
    x, h = jax.random.normal(jax.random.key(0), (2, 100_000))
    assert abs(float(jnp.var(skip_sum(x, h, rescale=True))) - 1) < 0.02
    np.testing.assert_array_equal(skip_sum(x, h, rescale=False), x + h)


def test_a_block_that_starts_silent_is_its_skip():
    x, embedding = jax.random.normal(jax.random.key(0), (8, 8, 8)), jnp.ones(4)
    silent = block(init_scale=0.0)
    assert silent.skip is None
    np.testing.assert_allclose(silent(x, embedding), x / np.sqrt(2), atol=1e-4)
    wider = block(8, 12, init_scale=0.0)
    np.testing.assert_allclose(wider(x, embedding), wider.skip(x) / np.sqrt(2), rtol=1e-4, atol=1e-4)
    halved = BigGANBlock().descent(8, style(init_scale=0.0), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(halved(x, embedding), halved.skip(downsample_mean(x)) / np.sqrt(2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("resampling", [Box(), FIR()])
@pytest.mark.parametrize("kind", [BigGANBlock(), DDPMBlock(), DDPMBlock(resample_with_conv=False)])
def test_blocks_change_channels_and_what_lies_between_them_resolution(kind, resampling):
    x, embedding = jnp.ones((8, 8, 8)), jnp.ones(4)
    common = style(resampling=resampling)
    assert kind.block(8, 12, common, rngs=nnx.Rngs(0))(x, embedding).shape == (8, 8, 12)
    assert kind.block(8, 8, common, rngs=nnx.Rngs(0)).skip is None
    assert kind.descent(8, common, rngs=nnx.Rngs(0))(x, embedding).shape == (4, 4, 8)
    assert kind.ascent(8, common, rngs=nnx.Rngs(0))(x, embedding).shape == (16, 16, 8)


def test_a_biggan_block_that_starts_silent_and_changes_resolution_is_its_resampled_skip():
    x, embedding = jax.random.normal(jax.random.key(0), (4, 4, 8)), jnp.ones(4)
    for resampling in (Box(), FIR()):
        silent = style(init_scale=0.0, skip_rescale=False, resampling=resampling)
        for change, resample in (("descent", resampling.down), ("ascent", resampling.up)):
            layer = getattr(BigGANBlock(), change)(8, silent, rngs=nnx.Rngs(0))
            np.testing.assert_allclose(layer(x, embedding), layer.skip(resample(x)), rtol=1e-4, atol=1e-4)


def test_a_block_without_embedding_has_no_layer_for_it_and_hears_none():
    assert block(embedding=None).embedding is None
    x = jax.random.normal(jax.random.key(0), (4, 4, 8))
    np.testing.assert_array_equal(block(embedding=None)(x, None), block(embedding=None)(x, jnp.ones(4)))


def test_dropout_zeroes_its_fraction_and_keeps_the_mean():
    rate = 0.3
    noisy = block(dropout=rate, skip_rescale=False)
    # with the identity as last convolution, y - x is the dropped-out activation itself
    identity = jnp.zeros_like(noisy.conv_out.kernel[...]).at[1, 1].set(jnp.eye(8))
    noisy.conv_out.kernel[...] = identity
    x, embedding = jnp.zeros((64, 64, 8)), jax.random.normal(jax.random.key(0), (4,))
    noisy.norm_out.bias[...] = jnp.ones(8)
    clean = noisy(x, embedding)
    dropped = noisy(x, embedding, key=jax.random.key(1))
    zero = np.asarray(dropped == 0)
    assert abs(zero.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / zero.size)
    np.testing.assert_allclose(dropped[~zero], clean[~zero] / (1 - rate), rtol=1e-5)
    assert not np.any(np.asarray(clean) == 0)
