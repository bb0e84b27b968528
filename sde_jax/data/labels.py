"""The labels of a source, and labels for samples of its classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import ArrayLike, Int

from sde_jax.data.sources import Source, Splits
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


def numbered_as(splits: Splits, classes: Sequence[str]) -> Splits:
    """Return splits whose labels number the classes in the order of `classes`, in which a run was trained.

    They are as they are where either has no names. Raises `InputError` where the names are others.
    """
    if not classes or not splits.classes or tuple(classes) == splits.classes:
        return splits
    if sorted(classes) != sorted(splits.classes) or len({*classes}) < len(classes):
        missing, new = ({*classes} - {*splits.classes}), ({*splits.classes} - {*classes})
        raise InputError(
            f"the data have other classes than the run was trained on (without {sorted(missing)[:4]}, with"
            f" {sorted(new)[:4]}); expected {', '.join(classes[:8])}{', ...' if classes[8:] else ''}: take the data of"
            " the run, or another run"
        )
    number = np.array([*map(list(classes).index, splits.classes), -1], np.int32)
    train, held_out = (Renumbered(source, number) for source in (splits.train, splits.held_out))
    return replace(splits, train=train, held_out=held_out, classes=tuple(classes))


class Renumbered:
    """A source with label k as `number`[k], [classes + 1] int32, whose last is -1, for none.

    It holds `labels`, `names` and `stored` where the source does.
    """

    def __init__(self, source: Source, number: np.ndarray):
        self._source, self._number = source, number
        if hasattr(source, "labels"):
            self.labels = number[labels_of(source)]
        for name in {"names", "stored"} & {*dir(source)}:
            setattr(self, name, getattr(source, name))

    def __len__(self) -> int:
        """The number of examples."""
        return len(self._source)

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray]:
        """The example at `index`, with the other label."""
        found = self._source[index]
        return {**found, "label": self._number[found["label"]]}


def unused_labels(source: Source, classes: int, names: tuple[str, ...] = ()) -> list[int]:
    """Return the labels below `classes` that no example has, as far as a source says without being read.

    What is known: the labels that it holds, or how many classes have names.
    """
    held = getattr(source, "labels", None)
    there = range(len(names) or classes) if held is None else np.unique(held).tolist()
    return [label for label in range(classes) if label not in set(there)]


def in_proportion(counts: Int[ArrayLike, " classes"], length: int) -> Int[np.ndarray, " length"]:
    """Return labels [length] int32, each class as often as its count says, as evenly as whole numbers allow.

    Sainte-Lague's method: class k takes its j-th place, from 0 on, at (j + 1/2) / counts[k]. Of any number of places a
    class has its share to about one; of `sum(counts)` places it has `counts` exactly, and of equal counts it is every
    class in turn. Raises `InputError` for counts below 0, and where all are 0.
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 1 or not (counts >= 0).all() or not counts.any():
        raise InputError(f"counts = {counts}: expected [classes], none below 0 and one above")
    share = counts / counts.sum()
    labels = np.repeat(np.arange(len(counts)), np.ceil(length * share).astype(int) + 1)
    place = np.arange(len(labels)) - np.searchsorted(labels, labels)
    with np.errstate(divide="ignore"):
        due = (place + 0.5) / counts[labels]
    return labels[np.lexsort((labels, due))][:length].astype(np.int32)


def _too_many(label: int, classes: int) -> str:
    return (
        f"the training data have label {label}; expected classes 0 .. {classes - 1}, which the network is conditioned"
        f" on: take a condition of {label + 1} classes"
    )
