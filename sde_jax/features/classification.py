"""A classifier trained on the labels of a data set."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from sde_jax.data import Scaling, Source, Splits, batches, in_order, labels_of
from sde_jax.errors import InputError, RunError, whole
from sde_jax.nn import drawn, stateless
from sde_jax.nn.classifiers import Classifier, Convolutional, Perceptron
from sde_jax.typing import Array, Params

AT_ONCE = 256
SMALLEST_IMAGE = 16
"""Pixels of a side from which convolutions see more than dense layers."""


@dataclass(frozen=True)
class Training:
    """Steps of Adam on the cross entropy, the rate falling to 0 as a cosine. Raises `InputError` out of range."""

    steps: int = 1000
    batch_size: int = 128
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self):
        counts = whole(self.steps, 1) and whole(self.batch_size, 1) and whole(self.seed, 0, 2**32 - 1)
        if not (counts and 0 < self.learning_rate < float("inf")):
            raise InputError(
                f"{self}: expected 1 or more steps and examples, a positive rate, a seed in 0 ... 2^32 - 1"
            )


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


def counts(source: Source) -> Int[np.ndarray, " classes"]:
    """Return how many examples of each class there are; reads them where the source does not hold their labels.

    Raises `InputError` for examples without a label, and where all are of one class.
    """
    labels = labels_of(source)
    if (labels < 0).any():
        raise InputError(
            f"{np.sum(labels < 0)} of {len(labels)} training examples have no label; expected a class for every one: "
            "choose labelled data, or features that need no training (Raw, Inception)"
        )
    found = np.bincount(labels)
    if np.count_nonzero(found) < 2:
        raise InputError(f"all training examples are of class {labels[0]}; expected 2 classes or more to tell apart")
    return found


def train(
    classifier: Classifier,
    splits: Splits,
    settings: Training,
    progress: Callable[[Iterator[Any]], Iterable[Any]] = iter,
) -> Params:
    """Return the parameters of a classifier of x = (data - shift) / scale, trained on `splits.train`.

    They are a function of the data and the settings. `progress` may wrap the iterator over steps, to show it. Raises
    `RunError` where the loss is no longer finite.
    """
    call, params = stateless(drawn(classifier, splits.shape, settings.seed))
    rule = optax.adam(optax.cosine_decay_schedule(settings.learning_rate, settings.steps))
    scaling = units(splits)

    def loss(params: Params, x: Array, labels: Array) -> Float[Array, ""]:
        logits = jax.vmap(call, (None, 0))(params, x).logits
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

    @jax.jit
    def step(params: Params, state: Any, data: Array, labels: Array) -> tuple[Params, Any, Array]:
        value, gradient = jax.value_and_grad(loss)(params, normalised(scaling, data), labels)
        updates, state = rule.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state, value = rule.init(params), jnp.zeros(())
    stream = batches(splits.train, batch_size=settings.batch_size, seed=settings.seed)
    for batch in progress(islice(stream, settings.steps)):
        params, state, value = step(params, state, batch["data"], batch["label"])
    if not np.isfinite(value):
        raise RunError(f"the classifier's loss is {value} after {settings.steps} steps: give a smaller learning rate")
    return params


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
