import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.nn import FIR
from sde_jax.nn.fir import conv_downsample, downsample, upsample, upsample_conv

KERNELS = {"1_3_3_1": (1, 3, 3, 1), "1_2_1": (1, 2, 1), "1_1": (1, 1)}
X = jax.random.normal(jax.random.key(0), (6, 4, 2))


def images(array):
    return array.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("name", KERNELS)
def test_filtered_changes_of_resolution_are_the_official_ones(golden, name):
    recorded = np.load(golden / "layers.npz")
    x, taps = images(recorded["x"]), KERNELS[name]
    for ours, theirs in ((upsample, "upsample_2d"), (downsample, "downsample_2d")):
        y = jax.vmap(lambda x, ours=ours: ours(x, taps))(x)
        np.testing.assert_allclose(y, images(recorded[f"{theirs}_{name}"]), rtol=1e-5, atol=1e-6)


def test_convolutions_with_a_filter_are_the_official_ones(golden):
    torch, flax = np.load(golden / "layers.npz"), np.load(golden / "jax_layers.npz")
    kernel = torch["w_oihw"].transpose(2, 3, 1, 0)
    down = jax.vmap(lambda x: conv_downsample(x, kernel, (1, 3, 3, 1)))(images(torch["x"]))
    np.testing.assert_allclose(down, images(torch["conv_downsample_2d_1_3_3_1"]), rtol=1e-5, atol=1e-5)
    up = jax.vmap(lambda x: upsample_conv(x, flax["w_hwio"], (1, 3, 3, 1)))(flax["x_nhwc"])
    np.testing.assert_allclose(up, flax["upsample_conv_2d_1_3_3_1"], rtol=1e-5, atol=1e-5)


def test_the_filter_is_convolved_with_and_not_mirrored():
    taps = (1.0, 2.0, 3.0, 4.0)
    row = np.asarray(X[:, 0, 0])
    rows = jnp.broadcast_to(X[:, :1, :1], (6, 64, 1))  # constant along the width, so that only the height is filtered
    spread = np.zeros(12)
    spread[::2] = row
    down, up = downsample(rows, taps)[:, 16, 0], upsample(rows, taps)[:, 64:66, 0].mean(axis=1)
    np.testing.assert_allclose(down, np.convolve(row, taps)[2::2][:3] / 10, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(up, np.convolve(spread, taps)[1:13] / 5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 1)])
def test_filtered_up_is_four_times_the_adjoint_of_filtered_down(taps):
    y = jax.random.normal(jax.random.key(1), (12, 8, 2))
    np.testing.assert_allclose(jnp.vdot(upsample(X, taps), y), 4 * jnp.vdot(X, downsample(y, taps)), rtol=1e-4)


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 2, 1), (2, 2)])
def test_a_constant_image_stays_constant_away_from_its_border(taps):
    ones = jnp.ones((8, 8, 1))
    np.testing.assert_allclose(upsample(ones, taps)[2:-2, 2:-2], 1, rtol=1e-6)
    np.testing.assert_allclose(downsample(ones, taps)[1:-1, 1:-1], 1, rtol=1e-6)


def test_a_convolution_that_does_nothing_leaves_the_change_of_resolution():
    nothing = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))
    taps = (1, 3, 3, 1)
    np.testing.assert_allclose(upsample_conv(X, nothing, taps), upsample(X, taps), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(conv_downsample(X, nothing, taps), downsample(X, taps), rtol=1e-5, atol=1e-6)


def test_the_dtype_is_kept():
    for change in (upsample, downsample):
        assert change(X.astype(jnp.bfloat16), (1, 3, 3, 1)).dtype == jnp.bfloat16


@pytest.mark.parametrize("kernel", [(), [1, 3, 3, 1], (1, 0, 1), (1, -3), (1, float("nan")), (True, 1), "1331", 3])
def test_a_kernel_that_is_none_is_refused(kernel):
    with pytest.raises(InputError, match=r"FIR: kernel is .*, expected a tuple of positive numbers"):
        FIR(kernel)
