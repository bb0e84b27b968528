import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.nn import drawn, outline, stateless
from sde_jax.nn.classifiers import Convolutional, Perceptron

PERCEPTRON, CONVOLUTIONAL = Perceptron(3, features=5, width=4, depth=1), Convolutional(3, 5, channels=(4, 8))


@pytest.mark.parametrize(("classifier", "shape"), [(PERCEPTRON, (2, 3)), (CONVOLUTIONAL, (9, 6, 2))])
def test_logits_are_linear_in_the_features(classifier, shape):
    call, params = stateless(drawn(classifier, shape, 0))
    x = jax.random.normal(jax.random.key(1), shape)
    features, logits = call(params, x)
    assert features.shape == (5,)
    np.testing.assert_allclose(logits, features @ params["out"]["kernel"] + params["out"]["bias"], rtol=1e-5)


def test_the_perceptron_is_a_chain_of_swishes():
    call, params = stateless(drawn(PERCEPTRON, (2,), 0))
    h = x = np.array([0.3, -1.0], np.float32)
    for i in range(2):
        h = h @ params["layers"][i]["kernel"] + params["layers"][i]["bias"]
        h = h / (1 + np.exp(-h))
    np.testing.assert_allclose(call(params, x).features, h, rtol=1e-5)


def test_every_convolution_halves_the_image():
    sizes = []
    module = outline(CONVOLUTIONAL, (9, 6, 2))
    for conv, size in zip(module.convs, ((9, 6, 2), (5, 3, 4)), strict=True):
        run, params = stateless(conv)
        sizes.append(jax.eval_shape(run, params, jax.ShapeDtypeStruct(size, jnp.float32)).shape)
    assert sizes == [(5, 3, 4), (3, 2, 8)]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(Perceptron, {"classes": 1}), (Perceptron, {"classes": 2, "depth": 0}), (Convolutional, {"classes": 0}),
     (Convolutional, {"classes": 2, "channels": ()}), (Convolutional, {"classes": 2, "features": 0})],
)  # fmt: skip
def test_settings_out_of_range_are_refused(kind, settings):
    with pytest.raises(InputError, match="expected 2 or more classes"):
        kind(**settings)


def test_convolutions_are_of_images():
    with pytest.raises(InputError, match="expected an image"):
        drawn(CONVOLUTIONAL, (4, 4), 0)
    with pytest.raises(InputError, match="do not split into equal groups"):
        drawn(Convolutional(2, 5, channels=(3,)), (8, 8, 1), 0)
