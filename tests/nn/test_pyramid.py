import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.nn import (
    FIR,
    Box,
    Concatenate,
    GroupNormalization,
    InputResidual,
    InputSkip,
    NCSNpp,
    NoPyramid,
    OutputResidual,
    OutputSkip,
    Sum,
    Swish,
    abstract,
)
from sde_jax.nn.blocks import Style

RESAMPLINGS = [Box(), FIR()]
IMAGE = jax.random.normal(jax.random.key(0), (8, 8, 3))
H = jax.random.normal(jax.random.key(1), (4, 4, 8))


def style(resampling, *, skip_rescale=True):
    norm = GroupNormalization(groups=None)
    return Style(4, 0.0, 1.0, skip_rescale, Swish(), norm, resampling)


@pytest.mark.parametrize("resampling", RESAMPLINGS)
def test_a_skip_reads_the_downsampled_image_through_a_pixelwise_layer(resampling):
    common, image = style(resampling), resampling.down(IMAGE)
    for combination, combine in ((Sum(), jnp.add), (Concatenate(), lambda a, b: jnp.concatenate([a, b], axis=-1))):
        step = InputSkip(combination).read(3, 8, common, rngs=nnx.Rngs(0))
        pyramid, h = step(IMAGE, H)
        read = image @ step.conv.kernel[0, 0] + step.conv.bias[...]
        np.testing.assert_array_equal(pyramid, image)
        np.testing.assert_allclose(h, combine(read, H), rtol=1e-4, atol=1e-5)
        assert (step.pyramid, step.channels) == (3, h.shape[-1])


@pytest.mark.parametrize("resampling", RESAMPLINGS)
def test_a_residual_pyramid_adds_the_level_and_replaces_it(resampling):
    for rescale, factor in ((True, np.sqrt(2)), (False, 1.0)):
        common = style(resampling, skip_rescale=rescale)
        down = InputResidual().read(3, 8, common, rngs=nnx.Rngs(0))
        up = OutputResidual().write(4, 8, 3, common, rngs=nnx.Rngs(0))
        for step, before, h in ((down, IMAGE, H), (up, jax.random.normal(jax.random.key(2), (2, 2, 4)), H)):
            pyramid, replaced = step(before, h)
            np.testing.assert_allclose(pyramid, (step.layer(before) + h) / factor, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(replaced, pyramid)
            assert (step.pyramid, step.channels) == (8, 8)


@pytest.mark.parametrize("resampling", RESAMPLINGS)
def test_an_output_skip_is_a_sum_of_upsampled_images(resampling):
    common, fine = style(resampling), jax.random.normal(jax.random.key(3), (8, 8, 4))
    first = OutputSkip().write(0, 8, 3, common, rngs=nnx.Rngs(0))
    second = OutputSkip().write(first.pyramid, 4, 3, common, rngs=nnx.Rngs(1))
    coarse, h = first(None, H)
    np.testing.assert_array_equal(h, H)
    np.testing.assert_allclose(coarse, first.layer(None, H), rtol=1e-5, atol=1e-6)
    pyramid, h = second(coarse, fine)
    np.testing.assert_array_equal(h, fine)
    np.testing.assert_allclose(pyramid, resampling.up(coarse) + second.layer(None, fine), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(OutputSkip().finish(4, 3, common, rngs=nnx.Rngs(0))(pyramid, h), pyramid)


def test_the_coarsest_level_begins_a_residual_pyramid_of_its_own_channels():
    begin = OutputResidual().write(0, 8, 3, style(Box()), rngs=nnx.Rngs(0))
    pyramid, h = begin(None, H)
    np.testing.assert_array_equal(h, H)
    assert pyramid.shape == H.shape
    assert (begin.pyramid, begin.channels) == (8, 8)


def test_no_pyramid_passes_everything_on_and_has_no_parameters():
    for step in (
        NoPyramid().read(3, 8, style(Box()), rngs=nnx.Rngs(0)),
        NoPyramid().write(0, 8, 3, style(Box()), rngs=nnx.Rngs(0)),
    ):
        assert step(IMAGE, H) == (IMAGE, H)
        assert not jax.tree.leaves(nnx.state(step, nnx.Param))


def test_concatenation_doubles_the_channels_that_a_level_starts_with_and_keeps():
    levels = {"channel_multipliers": (1, 2, 4), "blocks_per_level": 1, "attention_resolutions": ()}
    network = NCSNpp(features=8, input_pyramid=InputSkip(Concatenate()), **levels)
    params = abstract(network, (8, 8, 3))[1]

    def inputs(part, level, block):
        return params[part][level]["layers"][block]["block"]["conv_in"]["kernel"].shape[2]

    assert [inputs("encoder", level, 0) for level in range(3)] == [8, 2 * 8, 2 * 16]
    # the decoder reads, last first: 32 and the start of level 2; 16 and the start of level 1; 8 and the image's 8
    assert [inputs("decoder", level, 0) for level in range(3)] == [32 + 32, 32 + 16, 16 + 8]
    assert [inputs("decoder", level, 1) for level in range(3)] == [32 + 2 * 16, 16 + 2 * 8, 8 + 8]


@pytest.mark.parametrize(
    ("resampling", "read", "write"),
    [
        (Box(), InputSkip(), OutputResidual()),
        (FIR(), InputSkip(Concatenate()), OutputSkip()),
        (Box(), InputResidual(), OutputSkip()),
        (FIR(), InputResidual(), OutputResidual()),
    ],
)
def test_a_network_with_pyramids_gives_an_image_of_the_same_dtype(resampling, read, write):
    network = NCSNpp(
        features=8,
        channel_multipliers=(1, 2),
        blocks_per_level=1,
        attention_resolutions=(),
        resampling=resampling,
        input_pyramid=read,
        output_pyramid=write,
    )
    apply, params = abstract(network, (8, 8, 3))
    y = jax.eval_shape(apply, params, jax.ShapeDtypeStruct((8, 8, 3), jnp.bfloat16), jnp.float32(1.0))
    assert (y.shape, y.dtype) == ((8, 8, 3), jnp.bfloat16)
