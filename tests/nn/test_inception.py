"""Inception-v3's table and pools; the whole of it is compared with PyTorch's in tests/features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.nn import drawn, outline, stateless
from sde_jax.nn.inception import InceptionV3
from sde_jax.nn.inception.layers import Fork, every_second, maxima, means
from sde_jax.nn.inception.network import run
from sde_jax.nn.inception.table import NETWORK

SHAPE = (299, 299, 3)


def test_the_convolutions_have_as_many_numbers_as_published():
    # Keras counts 21,802,784 without the last layer, of which 34,432 are the normalisations' means and variances, and
    # half as many their offsets.
    _, params = stateless(outline(InceptionV3(), SHAPE))
    kernels, biases = (sum(conv[part].size for conv in params["convs"].values()) for part in ("kernel", "bias"))
    assert biases == 34_432 // 2
    assert kernels == 21_802_784 - 34_432 - 17_216
    assert len(params["convs"]) == 94


def test_the_blocks_return_what_table_1_of_szegedy_et_al_says():
    def outputs(x):
        convs, found = drawn(InceptionV3(), SHAPE, 0).convs, {}
        for layer in NETWORK:
            x = run((layer,), convs, x)
            found |= {layer.name: x} if isinstance(layer, Fork) else {}
        return found

    found = jax.eval_shape(outputs, jax.ShapeDtypeStruct(SHAPE, jnp.float32))
    for name, size, channels in (("5b", 35, 256), ("5d", 35, 288), ("6a", 17, 768), ("6e", 17, 768), ("7c", 8, 2048)):
        assert found[f"Mixed_{name}."].shape == (size, size, channels)


def test_means_are_of_the_pixels_that_there_are():
    x = np.random.default_rng(0).normal(size=(4, 6, 2)).astype(np.float32)
    expected = [[x[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean((0, 1)) for j in range(6)] for i in range(4)]
    np.testing.assert_allclose(means(jnp.asarray(x)), expected, atol=1e-6)
    np.testing.assert_allclose(means(jnp.ones((1, 3, 1))), np.ones((1, 3, 1)))


def test_maxima_are_around_every_pixel_or_every_second_inside():
    x = np.random.default_rng(1).normal(size=(5, 7, 2)).astype(np.float32)
    around = [[x[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].max((0, 1)) for j in range(7)] for i in range(5)]
    np.testing.assert_array_equal(maxima(jnp.asarray(x)), around)
    inside = [[x[i : i + 3, j : j + 3].max((0, 1)) for j in range(0, 5, 2)] for i in range(0, 3, 2)]
    np.testing.assert_array_equal(every_second(jnp.asarray(x)), inside)


@pytest.mark.parametrize("shape", [(299, 299, 1), (299, 299), (74, 299, 3)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(InputError, match="Inception-v3: an image has shape"):
        drawn(InceptionV3(), shape, 0)
