import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn.norms import GroupNorm


@pytest.mark.parametrize("channels", [24, 160])
def test_group_norm_is_flax_group_norm_of_one_example(channels):
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (6, 4, channels))
    scale, bias = jax.random.normal(jax.random.key(1), (2, channels))
    ours, theirs = GroupNorm(channels), nnx.GroupNorm(channels, min(channels // 4, 32), rngs=nnx.Rngs(0))
    for norm in (ours, theirs):
        norm.scale[...], norm.bias[...] = scale, bias
    np.testing.assert_allclose(ours(x), theirs(x[None])[0], rtol=1e-5, atol=1e-5)


def test_group_norm_forgets_the_scale_and_offset_of_a_group():
    x = jax.random.normal(jax.random.key(0), (8, 8, 8))
    scaled = x.at[..., :4].multiply(5.0).at[..., :4].add(2.0)
    np.testing.assert_allclose(GroupNorm(8)(scaled), GroupNorm(8)(x), rtol=1e-4, atol=1e-4)


def test_moments_are_float32_and_the_dtype_is_kept():
    x = (100 + jax.random.normal(jax.random.key(0), (32, 32, 8))).astype(jnp.bfloat16)
    y = GroupNorm(8)(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), GroupNorm(8)(x.astype(jnp.float32)), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("channels", [3, 14, 144])
def test_channels_that_groups_do_not_divide_are_refused(channels):
    with pytest.raises(InputError, match=f"{channels} channels"):
        GroupNorm(channels)
