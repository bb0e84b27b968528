import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import Fourier, Positional
from sde_jax.nn.embeddings import positional


@pytest.mark.parametrize("features", [16, 128])
def test_positional_embedding_is_the_official_one(golden, features):
    recorded = np.load(golden / "layers.npz")
    ours = jax.vmap(lambda t: positional(t, features))(recorded["temb_t"])
    np.testing.assert_allclose(ours, recorded[f"temb_{features}"], rtol=1e-4, atol=1e-4)
    embedder = Positional().embedder(features, rngs=nnx.Rngs(0))
    assert embedder.size == features
    np.testing.assert_array_equal(embedder(jnp.float32(3.7)), positional(jnp.float32(3.7), features))


def test_positional_frequencies_fall_geometrically_from_1_to_a_ten_thousandth():
    found = np.asarray(positional(jnp.float32(1.0), 8))
    frequencies = np.array([1.0, 10_000 ** (-1 / 3), 10_000 ** (-2 / 3), 1e-4])
    np.testing.assert_allclose(found, [*np.sin(frequencies), *np.cos(frequencies)], rtol=1e-6)


def test_fourier_features_are_sines_and_cosines_of_the_logarithm():
    for kind, argument in ((Fourier(2.0), np.log(0.3)), (Fourier(2.0, logarithm=False), 0.3)):
        embedder = kind.embedder(16, rngs=nnx.Rngs(0))
        phases = 2 * np.pi * np.asarray(embedder.W[...], np.float64) * argument
        expected = np.concatenate([np.sin(phases), np.cos(phases)])
        assert embedder.size == 32
        np.testing.assert_allclose(embedder(jnp.float32(0.3)), expected, atol=1e-5)


def test_frequencies_have_the_given_deviation_and_are_never_trained():
    embedder = Fourier(16.0).embedder(4096, rngs=nnx.Rngs(0))
    weights = np.asarray(embedder.W[...], np.float64)
    assert abs(weights.var() / 16**2 - 1) < 4 * np.sqrt(2 / weights.size)
    graph, params = nnx.split(embedder, nnx.Param)
    gradient = jax.grad(lambda p: jnp.sum(nnx.merge(graph, p)(jnp.float32(0.3))))(params)
    assert not np.any(gradient["W"][...])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(InputError, match="expected scale > 0"):
        Fourier(scale)
