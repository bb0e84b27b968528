"""The labels that a conditional network is sampled with, so that its samples can be compared with data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sde_jax.data import Source, Splits, class_shown, in_proportion, labels_of
from sde_jax.model import Record

UNIFORM = "each class in turn"
_SHOWN = 8


@dataclass(frozen=True)
class SampleLabels:
    """The labels of samples.

    labels: [num_samples] int32, of sample i the i-th, -1 for none; law: how they were chosen, None for an unconditional
    network; classes: names, where known; warnings: what to know before a number about such samples is quoted.
    """

    labels: np.ndarray
    law: str | None = None
    classes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def at(self, index: np.ndarray) -> np.ndarray:
        """Return the labels of samples of these numbers; those beyond the last, which fill up a batch, have some."""
        return self.labels[index % len(self.labels)]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What there is to record, as `labels`: the law, and the number of samples of each class by index and name."""
        if self.law is None:
            return {}
        counts = dict(zip(*np.unique(self.labels, return_counts=True), strict=True))
        samples = {class_shown(k, self.classes): int(n) for k, n in counts.items()}
        return {"labels": {"law": self.law, "samples": samples}}


class ClassCounts(NamedTuple):
    """How many examples of each class a split, or the data of a reference's file, have; [] where that is unknown.

    without: examples that have no label.
    """

    split: str = ""
    counts: Sequence[int] = ()
    without: int = 0


def class_counts(splits: Splits, name: str, source: Source, classes: int) -> ClassCounts:
    """Return what the labels of the split that samples are compared with are; where it has none, of those trained on.

    Reads the examples where a source does not hold their labels.
    """
    for split, there in ((name, source), ("train", splits.train)):
        labels = labels_of(there)
        if (labels >= 0).any():
            counts = np.bincount(labels[labels >= 0], minlength=classes)[:classes]
            return ClassCounts(split, counts.tolist(), int(np.sum(labels < 0)))
    return ClassCounts()


def sample_labels(record: Record, found: ClassCounts) -> SampleLabels:
    """Return the labels of the samples of an evaluation: the classes as often as the data have them.

    Where that is not known, and where `uniform_labels` asks for it, every class is drawn in turn.
    """
    evaluation, names, counts = record.experiment.evaluation, record.classes, found.counts
    in_turn = record.labels_at(np.arange(evaluation.num_samples))
    if not record.label_count:
        return SampleLabels(in_turn)
    if len(counts) != record.label_count or not sum(counts):
        warning = (
            "every class was drawn as often, as the labels of what samples are compared with are not known: distances"
            " are too large where its classes differ in size"
        )
        return SampleLabels(in_turn, UNIFORM, names, () if evaluation.uniform_labels else (warning,))
    absent = [class_shown(k, names) for k in range(record.known_labels) if not counts[k]]
    drawn = "samples are" if evaluation.uniform_labels else "no sample is"
    more = ", ..." if absent[_SHOWN:] else ""
    shown = f"{', '.join(absent[:_SHOWN])}{more}"
    warnings = [f"no example in {found.split} is of class {shown}, and {drawn}"] if absent else []
    if found.without:
        warnings.append(f"{found.without} examples in {found.split} have no label, and every sample has one")
    if evaluation.uniform_labels:
        return SampleLabels(in_turn, UNIFORM, names, tuple(warnings))
    labels = in_proportion(np.array(counts), evaluation.num_samples)
    return SampleLabels(labels, f"as often as in {found.split}", names, tuple(warnings))
