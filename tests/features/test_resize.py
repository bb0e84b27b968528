import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sde_jax.features import PillowBicubic, TF1Bilinear


@pytest.mark.parametrize(("height", "width"), [(8, 32), (299, 7), (640, 400)])
def test_a_ramp_is_read_at_i_n_over_size(height, width):
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    ramp = np.stack(np.broadcast_arrays(rows[:, None], columns), -1)
    at_rows, at_columns = (np.minimum(np.arange(299) * n / 299, n - 1) for n in (height, width))
    expected = np.stack(np.broadcast_arrays(at_rows[:, None], at_columns), -1)
    np.testing.assert_allclose(TF1Bilinear()(jnp.asarray(ramp), 299), expected, atol=1e-3)


def test_twice_the_size_has_the_pixels_and_the_means_of_neighbours():
    x = jnp.array([[0.0, 8.0], [4.0, 20.0]])[..., None]
    expected = [[0, 4, 8, 8], [2, 8, 14, 14], [4, 12, 20, 20], [4, 12, 20, 20]]
    np.testing.assert_array_equal(TF1Bilinear()(x, 4)[..., 0], expected)


@pytest.mark.parametrize("shape", [(8, 8), (32, 48), (299, 299), (400, 640)])
def test_bicubic_is_pillows(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    expected = np.asarray(Image.fromarray(image).resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255)
    np.testing.assert_allclose(PillowBicubic()(jnp.asarray(image)[..., None], 299)[..., 0], expected, atol=0.01)
