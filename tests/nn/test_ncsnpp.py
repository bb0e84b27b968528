import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import NCSNpp, functional

SMALL = NCSNpp(features=8, channel_multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,), init_scale=1.0)
SHAPE = (8, 8, 3)


def abstract_build(architecture, shape):
    return nnx.eval_shape(lambda: architecture.build(shape, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def network():
    return functional(SMALL.build(SHAPE, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def batch():
    return jax.random.normal(jax.random.key(1), (3, *SHAPE)), jnp.array([0.0, 37.5, 999.0])


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(theirs).max()


@pytest.mark.slow
def test_vmap_equals_a_loop_and_jit_equals_no_jit(network, batch):
    apply, params = network
    loop = np.stack([apply(params, x, noise) for x, noise in zip(*batch, strict=True)])
    lifted = jax.jit(jax.vmap(apply, in_axes=(None, 0, 0)))(params, *batch)
    assert lifted.shape == batch[0].shape
    assert relative_error(lifted, loop) < 1e-5


def test_no_key_means_no_dropout_and_each_key_its_own(network, batch):
    apply, params = network
    x, noise = batch[0][0], batch[1][1]
    without = apply(params, x, noise)
    first, second = (apply(params, x, noise, key=jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(without, apply(params, x, noise))
    np.testing.assert_array_equal(first, apply(params, x, noise, key=jax.random.key(0)))
    assert relative_error(first, second) > 1e-2
    assert relative_error(first, without) > 1e-2


def test_output_starts_near_zero_with_init_scale_zero(batch):
    silent = dataclasses.replace(SMALL, init_scale=0.0).build(SHAPE, rngs=nnx.Rngs(0))
    y = silent(batch[0][0], batch[1][1])
    assert 0 < np.abs(y).max() < 1e-3


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"features": 0}, ["features"]),
        ({"features": 6}, ["features"]),
        ({"features": 8.0}, ["features"]),
        ({"channel_multipliers": ()}, ["channel_multipliers"]),
        ({"channel_multipliers": (1, 0)}, ["channel_multipliers"]),
        ({"blocks_per_level": 0}, ["blocks_per_level"]),
        ({"attention_resolutions": (-16,)}, ["attention_resolutions"]),
        ({"attention_resolutions": 16}, ["attention_resolutions"]),
        ({"dropout": 1.0}, ["dropout"]),
        ({"dropout": float("nan")}, ["dropout"]),
        ({"init_scale": -1.0}, ["init_scale"]),
        (
            {"features": 0, "blocks_per_level": -1, "dropout": -0.1},
            ["features", "blocks_per_level", "dropout"],
        ),
    ],
)
def test_every_field_out_of_range_is_named_in_one_line(fields, named):
    with pytest.raises(InputError) as error:
        NCSNpp(**fields)
    assert "\n" not in str(error.value)
    assert all(f"{name} is {fields[name]!r}" in str(error.value) for name in named)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (32, 32), "expected a square image"),
        ({}, (32, 16, 3), "expected a square image"),
        ({}, (20, 20, 3), "multiple of 8"),
        ({"attention_resolutions": (16, 5)}, (32, 32, 3), r"has \[5\], expected some of .* \[32, 16, 8, 4\]"),
        ({"attention_resolutions": (16,)}, (12, 12, 3), r"multiple of 8.*; attention_resolutions has \[16\]"),
        ({"features": 36, "attention_resolutions": ()}, (8, 8, 3), "144 channels do not split"),
    ],
)
def test_an_image_that_the_levels_cannot_serve_is_refused(fields, shape, message):
    with pytest.raises(InputError, match=message):
        abstract_build(NCSNpp(blocks_per_level=1, **fields), shape)


def test_a_batch_is_refused_where_one_example_belongs(network, batch):
    apply, params = network
    with pytest.raises(InputError, match=r"jax\.vmap"):
        apply(params, *batch)
    with pytest.raises(InputError, match="scalar label"):
        apply(params, batch[0][0], batch[1])
