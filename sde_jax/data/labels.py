"""The labels of a source."""

from collections.abc import Iterator, Mapping

import numpy as np

from sde_jax.data.sources import Source
from sde_jax.errors import InputError

LOOKED_AT = 1024
"""Examples of a source that is read only to see whether its labels are of use."""


def labels_of(source: Source, most: int | None = None) -> np.ndarray:
    """The labels of a source, [n] int32, in order: -1 for none.

    All of them where the source holds them as its `labels`; otherwise every example is read, or `most` of them, evenly
    spread.
    """
    held = getattr(source, "labels", None)
    if held is not None:
        return np.asarray(held, np.int32)
    count = len(source) if most is None else min(most, len(source))
    indices = np.arange(count) * len(source) // max(count, 1)
    return np.array([source[int(index)]["label"] for index in indices], np.int32)


def require_labels(source: Source, classes: int, names: tuple[str, ...] = ()) -> None:
    """Raise InputError unless a source has labels, and none from `classes` on.

    Of a source that does not hold its labels `LOOKED_AT` examples are read.
    """
    labels = labels_of(source, LOOKED_AT)
    if len(labels) and labels.max() < 0:
        raise InputError(
            f"the training data have no labels; expected classes 0 .. {classes - 1}, which the network is conditioned"
            " on: take other data, or a network whose condition is Unconditional"
        )
    found = max(len(names), int(labels.max(initial=-1)) + 1)
    if found > classes:
        raise InputError(_too_many(found - 1, classes))


def checked(batches: Iterator[Mapping[str, np.ndarray]], classes: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Yield batches as they are; raises InputError at one with a label from `classes` on."""
    for batch in batches:
        label = int(batch["label"].max())
        if label >= classes:
            raise InputError(_too_many(label, classes))
        yield batch


def _too_many(label: int, classes: int) -> str:
    return (
        f"the training data have label {label}; expected classes 0 .. {classes - 1}, which the network is conditioned"
        f" on: take a condition of {label + 1} classes"
    )
