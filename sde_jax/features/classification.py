"""A classifier trained on the labels of a data set."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.data import Scaling, Splits, in_order
from sde_jax.nn import drawn, stateless
from sde_jax.nn.classifiers import Classifier, Convolutional, Perceptron
from sde_jax.training.classification import AT_ONCE, Progress, cross_entropy, fit
from sde_jax.training.classification import Training as Training
from sde_jax.training.classification import counts as counts
from sde_jax.typing import Array, Batch, Key, Params

SMALLEST_IMAGE = 16
"""Pixels of a side from which convolutions see more than dense layers."""


def suited(shape: tuple[int, ...], classes: int, features: int) -> Classifier:
    """Return a classifier for examples of `shape`: convolutions down to 4 or fewer pixels, dense layers below 16."""
    if len(shape) != 3 or min(shape[:2]) < SMALLEST_IMAGE:
        return Perceptron(classes, features)
    halvings = int(np.ceil(np.log2(min(shape[:2]) / 4)))
    return Convolutional(classes, features, tuple(min(64 * 2**i, 256) for i in range(halvings)))


def units(splits: Splits) -> Scaling:
    """Return what makes the data numbers about 0 of size about 1: levels fill [-1, 1], real numbers scale as x_0."""
    half = None if splits.levels is None else (splits.levels - 1) / 2
    return splits.scaling if half is None else Scaling((half,), (half,))


def train(classifier: Classifier, splits: Splits, settings: Training, progress: Progress = iter) -> Params:
    """Return the parameters of a classifier of x = (data - shift) / scale, trained on `splits.train`.

    They are a function of the data and the settings. Raises `RunError` where the loss is no longer finite.
    """
    call, params = stateless(drawn(classifier, splits.shape, settings.seed))
    scaling = units(splits)

    def loss(params: Params, _: Key, batch: Batch) -> Float[Array, ""]:
        x = normalised(scaling, batch["data"])
        return cross_entropy(jax.vmap(call, (None, 0))(params, x).logits, batch["label"])

    return fit(loss, params, splits.train, settings, progress)


def accuracy(classifier: Classifier, params: Params, splits: Splits) -> float | None:
    """Return the share of `splits.held_out` that the classifier is right about, None where nothing is held out.

    An example without a label counts as wrong.
    """
    call, _ = stateless(drawn(classifier, splits.shape, 0))
    scaling, right = units(splits), 0

    @jax.jit
    def predicted(params: Params, data: Array) -> Array:
        return jnp.argmax(jax.vmap(call, (None, 0))(params, normalised(scaling, data)).logits, -1)

    if not len(splits.held_out):
        return None
    for batch in in_order(splits.held_out, AT_ONCE):
        right += int(np.sum(np.asarray(predicted(params, batch["data"])) == batch["label"]))
    return right / len(splits.held_out)


def normalised(scaling: Scaling, data: Array) -> Float[Array, "..."]:
    """Return (data - shift) / scale in float32."""
    shift, scale = (np.asarray(part, np.float32) for part in (scaling.shift, scaling.scale))
    return (jnp.asarray(data).astype(jnp.float32) - shift) / scale
