import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.nn import ELU, Bilinear, Nearest, ReLU
from sde_jax.nn.instance_norms import ClassInstanceNormPlus
from sde_jax.nn.refine_blocks import (
    ChainedPooling,
    Fusion,
    Kit,
    RefineBlock,
    ResidualBlock,
    ResidualConvs,
    Stage,
    pooled_max,
    pooled_mean,
    refine_conv,
)
from sde_jax.nn.resample import downsample_mean, upsample_nearest

X = jax.random.normal(jax.random.key(0), (8, 6, 4))
LABEL = jnp.asarray(1.0)


def kit(*, norm=lambda channels: None, refine_norm=lambda channels: None, pool=pooled_max, activation=None):
    return Kit(activation or ReLU(), Bilinear(), norm, refine_norm, pool, nnx.Rngs(0))


def class_norm(channels):
    return ClassInstanceNormPlus(channels, 3, rngs=nnx.Rngs(1))


def convolutions(block):
    return [module for _, module in nnx.iter_modules(block) if isinstance(module, nnx.Conv)]


def through(block, centre=0.0):
    """The block with every convolution the identity times `centre`, biases zero; fewer inputs are padded with zeros."""
    for conv in convolutions(block):
        h, w, inputs, outputs = conv.kernel[...].shape
        conv.kernel[...] = jnp.zeros((h, w, inputs, outputs)).at[h // 2, w // 2].set(centre * jnp.eye(inputs, outputs))
        if conv.bias is not None:
            conv.bias[...] = jnp.zeros(outputs)
    return block


def windows(x, fill):
    padded = np.pad(np.asarray(x), ((2, 2), (2, 2), (0, 0)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1))


def test_pooling_is_over_the_five_by_five_pixels_around_each():
    np.testing.assert_array_equal(pooled_max(X), windows(X, -np.inf).max((-2, -1)))
    np.testing.assert_allclose(pooled_mean(X), windows(X, 0).sum((-2, -1)) / 25, atol=1e-6)
    assert pooled_max(X.astype(jnp.bfloat16)).dtype == pooled_mean(X.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_stage_normalises_then_applies_its_function_then_convolves():
    norm, conv = class_norm(4), refine_conv(4, 5, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(Stage(norm, jax.nn.elu, conv)(X, LABEL), conv(jax.nn.elu(norm(X, LABEL))))
    np.testing.assert_array_equal(Stage(None, jax.nn.elu, conv)(X, LABEL), conv(jax.nn.elu(X)))


def test_a_residual_block_whose_convolutions_vanish_is_its_skip():
    np.testing.assert_array_equal(through(ResidualBlock(4, 4, down=False, dilation=1, kit=kit()))(X), X)
    halved, dilated = (ResidualBlock(4, 6, down=True, dilation=dilation, kit=kit()) for dilation in (1, 2))
    for block, expected in [(halved, downsample_mean(X)), (dilated, X)]:
        skip = through(block).skip
        skip.kernel[...] = (
            skip.kernel[...].at[skip.kernel[...].shape[0] // 2, skip.kernel[...].shape[1] // 2].set(jnp.eye(4, 6))
        )
        np.testing.assert_allclose(block(X), jnp.pad(expected, ((0, 0), (0, 0), (0, 2))), atol=1e-6)
    assert halved.skip.kernel[...].shape == (1, 1, 4, 6)
    assert dilated.skip.kernel[...].shape == (3, 3, 4, 6)


def test_a_residual_block_adds_two_stages_and_halves_their_mean_too():
    block = through(ResidualBlock(4, 4, down=False, dilation=1, kit=kit(norm=class_norm)), centre=1.0)
    first, second = block.inner.norm, block.outer.norm
    expected = X + jax.nn.relu(second(jax.nn.relu(first(X, LABEL)), LABEL))
    np.testing.assert_allclose(block(X, LABEL), expected, rtol=1e-6)
    halved = through(ResidualBlock(4, 4, down=True, dilation=1, kit=kit()), centre=1.0)
    np.testing.assert_allclose(halved(X), downsample_mean(X + jax.nn.relu(X)), atol=1e-6)


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_a_dilated_convolution_reaches_as_far_as_its_dilation(dilation):
    conv = through(refine_conv(1, 1, dilation=dilation, rngs=nnx.Rngs(0)))
    conv.kernel[...] = jnp.zeros((3, 3, 1, 1)).at[0, 1].set(1.0)
    x = X[..., :1]
    np.testing.assert_array_equal(conv(x)[dilation:], x[:-dilation])
    assert not np.any(conv(x)[:dilation])
    block = ResidualBlock(4, 8, down=True, dilation=dilation, kit=kit())
    assert {c.kernel_dilation for c in convolutions(block) if c.kernel[...].shape[0] == 3} <= {1, dilation}
    assert block.inner.conv.kernel_dilation == dilation
    assert block(X).shape == ((4, 3, 8) if dilation == 1 else (8, 6, 8))


def test_residual_convolutions_add_blocks_of_two_stages_without_biases():
    unit = through(ResidualConvs(4, 2, kit(refine_norm=class_norm)), centre=1.0)
    expected = X
    for first, second in unit.blocks:
        h = jax.nn.relu(first.norm(expected, LABEL))
        expected = expected + jax.nn.relu(second.norm(h, LABEL))
    np.testing.assert_allclose(unit(X, LABEL), expected, rtol=1e-5)
    assert len(convolutions(unit)) == 4
    assert all(conv.bias is None for conv in convolutions(unit))


@pytest.mark.parametrize("pool", [pooled_max, pooled_mean])
def test_chained_pooling_adds_the_surroundings_at_two_ranges(pool):
    chain = through(ChainedPooling(4, kit(pool=pool, refine_norm=class_norm)), centre=0.5)
    h = jax.nn.relu(X)
    near = 0.5 * pool(chain.stages[0].norm(h, LABEL))
    far = 0.5 * pool(chain.stages[1].norm(near, LABEL))
    np.testing.assert_allclose(chain(X, LABEL), h + near + far, rtol=1e-5, atol=1e-6)
    assert all(conv.bias is None for conv in convolutions(chain))


def test_fusion_adds_images_at_the_size_of_the_first():
    coarse, plain = downsample_mean(X)[..., :2], kit(refine_norm=class_norm)
    fusion = through(Fusion([4, 2], 4, plain), centre=1.0)
    first, second = (stage.norm for stage in fusion.stages)
    expected = first(X, LABEL) + jnp.pad(
        plain.interpolation.resize(second(coarse, LABEL), (8, 6)), [(0, 0)] * 2 + [(0, 2)]
    )
    np.testing.assert_allclose(fusion([X, coarse], LABEL), expected, rtol=1e-5, atol=1e-6)
    assert all(conv.bias is not None for conv in convolutions(fusion))


def test_a_refining_block_adapts_fuses_pools_and_refines():
    coarse = downsample_mean(X)
    block = RefineBlock([4, 4], 3, blocks=3, kit=kit(activation=ELU()))
    adapted = [adapt(x) for adapt, x in zip(block.adapt, (X, coarse), strict=True)]
    np.testing.assert_array_equal(block(X, coarse), block.out(block.pool(block.fuse(adapted))))
    assert [len(unit.blocks) for unit in (*block.adapt, block.out)] == [2, 2, 3]
    start = RefineBlock([4], 4, blocks=1, kit=kit())
    np.testing.assert_array_equal(start(X), start.out(start.pool(start.adapt[0](X))))


def test_resizing_is_exact_on_ramps_repeats_pixels_and_leaves_equal_sizes():
    ramp = jnp.arange(8.0)[:, None, None] * jnp.ones((8, 6, 1))
    twice = Bilinear().resize(ramp, (16, 12))
    np.testing.assert_allclose(
        twice[1:-1, :, 0], jnp.broadcast_to(jnp.arange(0.25, 7, 0.5)[:, None], (14, 12)), atol=1e-5
    )
    np.testing.assert_array_equal(Nearest().resize(X, (16, 12)), upsample_nearest(X))
    for interpolation in (Bilinear(), Nearest()):
        np.testing.assert_array_equal(interpolation.resize(X, (8, 6)), X)
        assert interpolation.resize(X.astype(jnp.bfloat16), (16, 12)).dtype == jnp.bfloat16


def test_convolutions_start_as_in_the_official_networks():
    conv = refine_conv(16, 64, rngs=nnx.Rngs(0))
    for values, bound in [(conv.kernel[...], 1 / 12), (conv.bias[...], 1 / 12)]:
        values = np.asarray(values, np.float64).ravel()
        assert abs(np.mean(values**2) * 3 / bound**2 - 1) < 4 / np.sqrt(values.size)
        assert abs(values.mean()) < 4 * bound / np.sqrt(3 * values.size)
        assert bound * 0.9 < np.abs(values).max() < bound
    halving = ResidualBlock(16, 64, down=True, dilation=1, kit=kit())
    for conv, fan_in in [(halving.outer.conv, 144), (halving.skip, 16)]:
        weights = np.asarray(conv.kernel[...], np.float64)
        assert abs(weights.var() * fan_in - 1) < 6 / np.sqrt(weights.size)
        assert not np.any(conv.bias[...])
