import jax
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import GroupNormalization


def test_group_normalization_is_flax_group_norm_with_as_many_groups():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (6, 4, 24))
    theirs = nnx.GroupNorm(24, 8, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(
        GroupNormalization(8).norm(24, rngs=nnx.Rngs(0))(x), theirs(x[None])[0], rtol=1e-5, atol=1e-5
    )


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(InputError, match=r"48 channels .* expected a multiple of 32"):
        GroupNormalization(32).norm(48, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("groups", [0, 2.0, True])
def test_a_number_of_groups_that_is_none_is_refused(groups):
    with pytest.raises(InputError, match="whole number of groups"):
        GroupNormalization(groups)
