"""Which labels a network that hears them is told, so that its samples can be compared with data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_jax import processes
from sde_jax.data import Source, Splits, class_shown, in_proportion, labels_of
from sde_jax.model import Record

UNIFORM, UNLABELLED = "each class in turn", "none"
_SHOWN = 8


@dataclass(frozen=True)
class Told:
    """The labels of samples.

    labels: [num_samples] int32, of sample i the i-th, -1 for none; law: how they were chosen; classes: names, where
    known; warnings: what to know before a number about such samples is quoted.
    """

    labels: np.ndarray
    law: str
    classes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def at(self, index: np.ndarray) -> np.ndarray:
        """Return the labels of samples of these numbers; those beyond the last, which fill up a batch, have some."""
        return self.labels[index % len(self.labels)]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What there is to record: the law, and how many samples are of each class, by index and name."""
        counts = {} if self.law == UNLABELLED else dict(zip(*np.unique(self.labels, return_counts=True), strict=True))
        return {"law": self.law, "samples": {class_shown(k, self.classes): int(n) for k, n in counts.items()}}


def told(record: Record, compared: tuple[Splits, str, Source] | None) -> Told:
    """Return the labels of the samples of an evaluation: the classes as often as the data have them.

    compared: the data, and the name and the source of the split that samples are compared with; where it has no labels
    they are counted in the training split. Where that is None, and where `uniform_labels` asks for it, every class is
    drawn in turn. Processes call it together, and the first reads.
    """
    evaluation, names = record.experiment.evaluation, record.classes
    in_turn = record.labels_at(np.arange(evaluation.num_samples))
    if not record.label_count:
        return Told(in_turn, UNLABELLED)
    counted = _counted(compared if processes.is_first() else None, record.label_count)
    split, counts, without = processes.first_says(counted)
    if not sum(counts):
        warning = (
            "every class was drawn as often, as the labels of what samples are compared with are not known: distances"
            " are too large where its classes differ in size"
        )
        return Told(in_turn, UNIFORM, names, () if evaluation.uniform_labels else (warning,))
    absent = [class_shown(k, names) for k in range(record.known_labels) if not counts[k]]
    drawn = "samples are" if evaluation.uniform_labels else "no sample is"
    more = ", ..." if absent[_SHOWN:] else ""
    warnings = [f"no example in {split} is of class {', '.join(absent[:_SHOWN])}{more}, and {drawn}"] if absent else []
    if without:
        warnings.append(f"{without} examples in {split} have no label, and every sample has one")
    if evaluation.uniform_labels:
        return Told(in_turn, UNIFORM, names, tuple(warnings))
    return Told(
        in_proportion(np.array(counts), evaluation.num_samples), f"as often as in {split}", names, tuple(warnings)
    )


def _counted(compared: tuple[Splits, str, Source] | None, count: int) -> tuple[str, list[int], int]:
    """Return the split whose labels are counted, how many examples of each class it has, and how many of none."""
    if compared is None:
        return "", [], 0
    splits, name, source = compared
    for split, there in ((name, source), ("train", splits.train)):
        labels = labels_of(there)
        if (labels >= 0).any():
            counts = np.bincount(labels[labels >= 0], minlength=count)[:count]
            return split, counts.tolist(), int(np.sum(labels < 0))
    return "", [], 0
