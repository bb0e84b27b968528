"""Training of classifiers: what those of clean and of noisy examples have in common."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from sde_jax.data import Source, batches, labels_of
from sde_jax.errors import InputError, RunError, whole
from sde_jax.typing import Array, Batch, Key, Params

AT_ONCE = 256
Progress = Callable[[Iterator[Any]], Iterable[Any]]
"""What may wrap the iterator over steps, to show it."""


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


def counts(source: Source) -> Int[np.ndarray, " classes"]:
    """Return how many examples of each class there are; reads them where the source does not hold their labels.

    Raises `InputError` for examples without a label, and where all are of one class.
    """
    labels = labels_of(source)
    if (labels < 0).any():
        raise InputError(
            f"{np.sum(labels < 0)} of {len(labels)} training examples have no label; expected a class for every one: "
            "choose labelled data, or, for features, some that need no training (Raw, Inception)"
        )
    found = np.bincount(labels)
    if np.count_nonzero(found) < 2:
        raise InputError(f"all training examples are of class {labels[0]}; expected 2 classes or more to tell apart")
    return found


def fit(
    loss: Callable[[Params, Key, Batch], Float[Array, ""]],
    params: Params,
    source: Source,
    settings: Training,
    progress: Progress = iter,
) -> Params:
    """Return parameters after `settings.steps` steps on the loss of batches of a source, from `params` on.

    They are a function of these: batch n and the key that its loss is given are functions of the seed and n. Raises
    `RunError` where the loss is no longer finite.
    """
    rule = optax.adam(optax.cosine_decay_schedule(settings.learning_rate, settings.steps))

    @jax.jit
    def step(params: Params, state: Any, n: Array, batch: Batch) -> tuple[Params, Any, Array]:
        key = jax.random.fold_in(jax.random.key(settings.seed), n)
        value, gradient = jax.value_and_grad(loss)(params, key, batch)
        updates, state = rule.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state, value = rule.init(params), jnp.zeros(())
    stream = batches(source, batch_size=settings.batch_size, seed=settings.seed)
    for n, batch in enumerate(progress(islice(stream, settings.steps))):
        params, state, value = step(params, state, n, {"data": batch["data"], "label": batch["label"]})
    if not np.isfinite(value):
        raise RunError(f"the classifier's loss is {value} after {settings.steps} steps: give a smaller learning rate")
    return params


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """Return the mean cross entropy of a batch, in nats."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
