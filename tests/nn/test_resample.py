import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.nn.resample import downsample_mean, upsample_nearest


def test_resampling_is_that_of_the_official_layers(golden):
    recorded = np.load(golden / "layers.npz")
    x, up, down = (recorded[key].transpose(0, 2, 3, 1) for key in ("x", "naive_up", "naive_down"))
    np.testing.assert_array_equal(jax.vmap(upsample_nearest)(x), up)
    np.testing.assert_allclose(jax.vmap(downsample_mean)(x), down, rtol=1e-6, atol=1e-6)


def test_down_after_up_is_the_identity():
    x = jax.random.normal(jax.random.key(0), (3, 5, 2))
    np.testing.assert_allclose(downsample_mean(upsample_nearest(x)), x, rtol=1e-6)


def test_up_is_four_times_the_adjoint_of_down():
    x, y = jax.random.normal(jax.random.key(0), (3, 5, 2)), jax.random.normal(jax.random.key(1), (6, 10, 2))
    np.testing.assert_allclose(
        jnp.vdot(upsample_nearest(x), y), 4 * jnp.vdot(x, downsample_mean(y)), rtol=1e-4, atol=1e-5
    )
