"""What `sde-jax sample` is asked for in labels and guidance, and the guide that does it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from sde_jax.classifiers import NoisyClassifier
from sde_jax.codec import encode
from sde_jax.commands.workdir import Workdir, load
from sde_jax.data import classes_asked
from sde_jax.errors import InputError, whole
from sde_jax.guidance import ByClassifier, ClassifierFree, Guide, Interval
from sde_jax.model import Model, Record


class Turn(NamedTuple):
    """The labels that samples are drawn of, one after the other, none: without labels; and the names of all classes."""

    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def at(self, index: np.ndarray) -> np.ndarray | None:
        """Return the labels of samples of these numbers, None where they have none."""
        return np.asarray(self.labels, np.int32)[index % len(self.labels)] if self.labels else None

    def facts(self) -> dict[str, Any]:
        """Return what there is to record: the labels, their names where classes have names, and the law."""
        labels = sorted(set(self.labels))
        named = {"classes": [self.names[label] for label in labels]} if labels and self.names else {}
        return {"labels": labels, **named, "labels_drawn": "each in turn"} if labels else {}


@dataclass(frozen=True)
class Guiding:
    """What is asked.

    labels: of the samples in turn, as indices or as a text for `classes_asked`, none: every class in turn; weight: of
    guidance, None: 1, which for a network that hears labels is none; classifier: the directory of one of noisy
    examples, whose gradient is multiplied by `weight`; interval: noise levels sigma / alpha outside which there is no
    guidance; rescale: as `guidance.classifier_free`; autoguidance: a weaker model, the directory of a run or the name
    of one of the run's averages, in the place of the network that is told no label.
    """

    labels: str | tuple[int, ...] = ()
    weight: float | None = None
    classifier: Path | None = None
    interval: tuple[float, float] | None = None
    rescale: float | None = None
    autoguidance: str | None = None

    def check(self, record: Record) -> None:
        """Raise `InputError` with every problem that can be seen before anything is opened, a line each."""
        problems = list(self._problems(record))
        if (self.weight is not None or self.classifier) and not problems:
            record.experiment.objective.require_score("--classifier" if self.classifier else "--guidance")
        if self.weight is not None and not self.autoguidance and not problems:
            record.require_null()
        if problems:
            raise InputError("\n".join(problems))

    def _problems(self, record: Record) -> Iterator[str]:
        by_difference = [
            flag for flag, value in (("guidance_rescale", self.rescale), ("autoguidance", self.autoguidance)) if value
        ]
        for flag in by_difference + (["guidance_interval"] if self.interval and not self.classifier else []):
            if self.weight is None:
                yield f"--{flag}: expected --guidance with it, such as --guidance=2"
        if self.classifier:
            yield from (f"--{flag}: expected it, or --classifier" for flag in by_difference)
        elif not record.label_count:
            advice = "give --classifier DIR, of `sde-jax train-classifier`, or train with network.condition=ClassLabel"
            if self.labels:
                yield f"--label={self._shown}: the network knows no classes; {advice}"
            if self.weight is not None and not self.autoguidance:
                yield f"--guidance={self.weight:g}: the network knows no classes; {advice}"
        if not self.classifier and record.label_count:
            try:
                self._turn(record.known_labels, record.classes)
            except InputError as error:
                yield str(error)

    def _turn(self, count: int, names: tuple[str, ...], whose: str = "") -> Turn:
        """Return the labels asked for, of so many classes; raises `InputError` where one is none of these."""
        if not count or not self.labels:
            return Turn(tuple(range(count)), names)
        try:
            if isinstance(self.labels, str):
                return Turn(classes_asked(self.labels, count, names, whose), names)
        except InputError as error:
            raise InputError(f"--label={self.labels}: {error}") from None
        if not all(whole(label, 0, count - 1) for label in self.labels):
            raise InputError(f"--label={self._shown}: expected classes 0 to {count - 1}{whose}")
        return Turn(self.labels, names)

    @property
    def _shown(self) -> str:
        return self.labels if isinstance(self.labels, str) else ",".join(map(str, self.labels))

    def guide(self, workdir: Workdir, model: Model) -> tuple[Guide | None, dict[str, Any], Turn]:
        """Return what guides the samples, what there is to record of it, and the labels of the samples.

        Raises `InputError` where the classifier, or the weaker model, is not there or is not of this run's kind.
        """
        interval = Interval(*self.interval) if self.interval else None
        facts = {"weight": self.weight, "interval": self.interval, "rescale": self.rescale}
        if self.classifier:
            found = NoisyClassifier.open(self.classifier)
            _require_fit(found, model.record)
            turn = self._turn(found.about.classifier.classes, found.about.classes, ", the classifier's")
            weight = 1.0 if self.weight is None else self.weight
            facts |= {"weight": weight, "classifier": str(self.classifier), "sha256": found.sha256}
            return ByClassifier(found.log_prob, weight, interval), _given(facts), turn
        turn = self._turn(model.record.known_labels, model.record.classes)
        if self.weight is None:
            return None, {}, turn
        baseline = None
        if self.autoguidance:
            weak = _weak(workdir, model.record, self.autoguidance)
            facts |= {"autoguidance": self.autoguidance, "autoguidance_step": weak.step}
            baseline = jax.tree_util.Partial(_Baseline(weak), weak.params)
        return ClassifierFree(self.weight, interval, self.rescale, baseline), _given(facts), turn


class _Baseline:
    """(params, condition) -> the weaker model's denoiser."""

    def __init__(self, weak: Model):
        self.hears, self.denoiser = bool(weak.record.label_count), weak.denoiser

    def __call__(self, params: Any, condition: Any) -> Any:
        return self.denoiser(params, condition if self.hears else None)


def _weak(workdir: Workdir, record: Record, name: str) -> Model:
    """Return the model of a run's directory, or of this run's average of that name."""
    other = Workdir(Path(name))
    if not (other.path / "config.json").exists():
        try:
            return load(workdir, name)
        except InputError as error:
            raise InputError(f"--autoguidance={name}: no run's directory, and as {error}") from None
    weak = load(other)
    weak.record.experiment.objective.require_score(f"--autoguidance={name}")
    named = record.classes and weak.record.classes
    kinds = [
        (r.shape, r.encoding, r.experiment.sde, r.label_count or record.label_count, named and r.classes)
        for r in (record, weak.record)
    ]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"--autoguidance={name}: a model of other examples, another path or other classes; expected one of "
            f"shape {record.shape} on {record.experiment.sde}"
        )
    return weak


def _require_fit(found: NoisyClassifier, record: Record) -> None:
    experiment = record.experiment
    encoding = {"scaling": record.scaling} if record.levels is None else {"data_range": experiment.data_range}
    both = record.label_count and record.classes and found.about.classes  # are told of one label
    named = {"classes": record.classes} if both else {}
    found.require_fit(sde=experiment.sde, shape=record.shape, levels=record.levels, **encoding, **named)


def _given(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: encode(value) for name, value in facts.items() if value is not None}
