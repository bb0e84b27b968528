"""What extractors are called, what they take, and whether their distances are comparable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checkpoints import InceptionWeights
from sde_jax.checkpoints.inception import PUBLISHED
from sde_jax.codec import components, decode, encode
from sde_jax.errors import InputError
from sde_jax.features import Features, Function, Inception, PillowBicubic, Raw, TF1Bilinear, inception

OTHER = "0123456789abcdef" * 4


@pytest.fixture
def network(monkeypatch):
    """Put one in the place of Inception-v3 that returns the corner's colours, with weights of a SHA-256."""

    def choose(sha256: str) -> None:
        def read(params, x):
            return x[0, 0] * params["scale"], x.mean((0, 1))

        weights = InceptionWeights(read, {"scale": np.float32(1)}, sha256)
        monkeypatch.setattr(inception, "read_inception", lambda path: weights)

    choose(PUBLISHED)
    return choose


def test_levels_enter_as_minus_one_to_one_and_grey_as_three_equal_channels(network):
    extract = Inception("weights").open((2, 2, 1), 17)
    levels = np.array([0, 8, 16], np.uint8)
    features, logits = extract(np.broadcast_to(levels[:, None, None, None], (3, 2, 2, 1)))
    expected = np.repeat((levels[:, None] * 255.0 / 16 - 128) / 128, 3, axis=1)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_bytes_enter_exactly(network):
    image = np.array([[[0, 128, 255]]], np.uint8)
    features, _ = Inception("weights").open((1, 1, 3), 256)(image[None])
    np.testing.assert_array_equal(features[0], [-1, 0, 127 / 128])


def test_an_extractor_is_a_pytree_of_its_parameters(network):
    extract = Inception("weights").open((1, 1, 3), 256)
    twice = jax.tree.map(lambda leaf: 2 * leaf, extract)
    data = jnp.array([[[[0, 64, 255]]]], jnp.uint8)
    run = jax.jit(lambda extract, data: extract(data)[0])
    np.testing.assert_array_equal(run(twice, data), 2 * run(extract, data))
    np.testing.assert_array_equal(run(extract, data), extract(data)[0])
    assert jax.device_put(extract, jax.devices()[0]).name == extract.name


def test_only_published_weights_and_their_resize_on_bytes_are_comparable(network):
    def comparable(resize=TF1Bilinear(), shape=(2, 2, 3), levels=256):  # noqa: B008
        return Inception("weights", resize).open(shape, levels).comparable

    assert comparable()
    assert not comparable(PillowBicubic())
    assert not comparable(levels=17)
    network(OTHER)
    assert not comparable()


def test_name_and_protocol_say_what_was_done(network):
    network(OTHER)
    extract = Inception("weights", PillowBicubic()).open((2, 2, 1), 256)
    assert "sha256 0123456789abcdef" in extract.name
    for words in ("grey in three equal channels", "299x299 bicubic as in Pillow", "(x - 128) / 128"):
        assert words in extract.protocol
    assert "TensorFlow 1" in Inception("weights").open((2, 2, 3), 256).protocol


@pytest.mark.parametrize(("shape", "levels"), [((2,), None), ((2, 2, 3), None), ((2, 2, 2), 256), ((4, 4), 256)])
def test_inception_takes_images_in_levels_alone(network, shape, levels):
    with pytest.raises(InputError, match="expected images"):
        Inception("weights").open(shape, levels)


def test_examples_of_another_shape_are_refused(network):
    with pytest.raises(InputError, match=r"shape \(3, 3, 3\); expected \(2, 2, 3\)"):
        Inception("weights").open((2, 2, 3), 256)(np.zeros((1, 3, 3, 3), np.uint8))


def test_any_function_gives_features():
    extract = Function(lambda x: jnp.stack([x.sum(), x.max()]) / 2.0, "sum and maximum").open((3,), None)
    data = np.array([[1, 2, 3], [-1, 0, 2]], np.float32)
    features, logits = extract(data)
    np.testing.assert_allclose(features, [[3, 1.5], [0.5, 1]])
    assert logits is None
    assert (extract.size, extract.name, extract.comparable) == (2, "sum and maximum", False)


@pytest.mark.parametrize("function", [jnp.sum, lambda x: (x, x), lambda x: x.astype(int)])
def test_a_function_that_returns_no_vector_is_refused(function):
    with pytest.raises(InputError, match=r"expected floats \[d\]"):
        Function(function, "odd").open((3,), None)


def test_a_configuration_names_what_the_package_exports():
    assert {"Inception", "Raw"} <= components(Features).keys()
    given = Inception("weights.pth", PillowBicubic())
    assert decode(Features, encode(given)) == (given, [])
    assert decode(Features, "Raw") == (Raw(), [])
