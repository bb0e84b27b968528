"""Samples, and the metrics of them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from sde_jax import processes
from sde_jax.checks import judged
from sde_jax.codec import encode
from sde_jax.commands.evaluate.neighbours import nearest_examples
from sde_jax.commands.evaluate.reference import Reference
from sde_jax.commands.evaluate.request import Job
from sde_jax.commands.evaluate.results import FOLDER, File, Row, finite, told
from sde_jax.commands.evaluate.sample_labels import SampleLabels
from sde_jax.commands.evaluate.subject import Subject
from sde_jax.commands.received import received
from sde_jax.commands.sample import example_keys, save_arrays
from sde_jax.commands.tuned import notices
from sde_jax.data import Source
from sde_jax.metrics import Extractor, Outputs
from sde_jax.model import Model
from sde_jax.training import by_example
from sde_jax.typing import Array, Key, Params

KEPT = 64
"""How many samples are kept as they are."""
COMPARED = 16
"""How many of them stand beside their nearest training examples."""


class Drawn(NamedTuple):
    """Samples [n, ...] in the data's own units, what the extractor says of them, and denoiser calls [n]."""

    data: Any
    features: Any
    logits: Any
    evaluations: Any


class Measured(NamedTuple):
    """metrics: their states by name; evaluations: [] all denoiser calls; first: [k, ...] the first samples."""

    metrics: Mapping[str, Any]
    evaluations: np.ndarray
    first: np.ndarray


class Samples:
    """Samples of one kind, drawn and measured by programs that serve every checkpoint.

    Sample i is that of `sde-jax sample` with the same sampler, seed and label: a function of the model, the seed, i and
    its label, which is that of `labels`.
    """

    def __init__(
        self,
        model: Model,
        job: Job,
        extractor: Extractor,
        references: Mapping[str, Reference],
        train: Source | None,
        labels: SampleLabels,
    ):
        self._labels = labels
        self._job, self._extractor, self._references, self._train = job, extractor, references, train
        record, sampler = model.record, job.sampler

        def draw(params: Params, keys: Key, labels: Array) -> tuple[Array, Array]:
            conditions = model.conditions(labels)
            samples = replace(model, params=params).sample(keys, sampler, conditions=conditions)
            return record.encoding.values(samples.x), samples.evaluations

        self._draw = jax.jit(judged(draw))

    def measure(self, subject: Subject) -> Measured:
        """Return the states of all metrics over the samples of a checkpoint."""
        evaluation, record = subject.evaluation, subject.model.record
        rows = subject.at_once(evaluation.batch_size, evaluation.num_samples)
        size = max(evaluation.round_size // rows, 1) * rows
        of = {
            "part": "samples",
            "sampler": encode(self._job.sampler),
            "metrics": encode(evaluation.metrics),
            "features": self._extractor.name,
            "protocol": self._extractor.protocol,
            **self._labels.facts,
        }
        keys = example_keys(evaluation.seed, record.mesh())

        def draw(first: int, count: int) -> Drawn:
            index = np.arange(first, first + rows)
            labels = jax.device_put(self._labels.at(index), by_example(record.mesh()))
            (data, evaluations), checks = self._draw(subject.model.params, keys(index), labels)
            drawn = Drawn(data, *self._extractor(data), evaluations)
            return jax.tree.map(lambda a: a[:count], received((drawn, checks)))

        def advance(state: Measured, first: int, last: int) -> Measured:
            parts = [draw(i, last - i) for i in range(first, last, rows)]
            drawn = jax.tree.map(lambda *a: np.concatenate(a), *parts)
            return self._with(subject, state, drawn, first) if processes.is_first() else state

        start = Measured(
            {name: metric.init() for name, metric in evaluation.metrics.items()},
            np.array(0, np.int64),
            np.zeros((0, *record.shape), record.encoding.dtype),
        )
        return subject.rounds(of, evaluation.num_samples, size).run(start, advance, f"samples of {self._job.name}")

    def _with(self, subject: Subject, state: Measured, drawn: Drawn, first: int) -> Measured:
        outputs = Outputs(drawn.features, drawn.logits, np.arange(first, first + len(drawn.data)))
        metrics = subject.evaluation.metrics
        further = drawn.data[: max(KEPT - first, 0)].astype(state.first.dtype)
        return Measured(
            {name: metric.update(state.metrics[name], outputs) for name, metric in metrics.items()},
            state.evaluations + drawn.evaluations.astype(np.int64).sum(),
            np.concatenate([state.first, further]),
        )

    def results(self, subject: Subject, measured: Measured) -> tuple[list[Row], list[File]]:
        """Return a row of every metric, and the file of the first samples beside their neighbours."""
        rows = [self._row(subject, name, measured) for name in subject.evaluation.metrics]
        return rows, [self._file(subject, measured.first)]

    def _row(self, subject: Subject, name: str, measured: Measured) -> Row:
        metric, evaluation, extractor = subject.evaluation.metrics[name], subject.evaluation, self._extractor
        reference = self._references.get(name)
        result = metric.result(measured.metrics[name], reference and reference.state)
        low, high = map(finite, result.interval or (None, None))
        return Row(
            checkpoint_step=subject.model.step,
            part="samples",
            metric=name,
            value=finite(result.value),
            samples=result.samples,
            seed=evaluation.seed,
            average=subject.average,
            standard_error=finite(result.standard_error),
            interval=None if low is None or high is None else (low, high),
            sampler=self._job.name,
            steps=self._job.steps,
            evaluations=float(measured.evaluations) / evaluation.num_samples,
            features=extractor.name,
            protocol=extractor.protocol,
            comparable=extractor.comparable,
            reference=reference and reference.digest,
            reference_split=reference and reference.split,
            reference_samples=result.reference_samples,
            details=told(**result.details),
            labels=self._labels.law,
            warnings=(
                *result.warnings,
                *(reference.warnings if reference else ()),
                *self._labels.warnings,
                *notices(subject.workdir, self._job.name, subject.model.step),
            ),
            settings={
                "metric": encode(metric),
                "sampler": encode(self._job.sampler),
                **self._labels.facts,
            },
        )

    def _file(self, subject: Subject, first: np.ndarray) -> File:
        kind = f"{self._job.name}_{self._job.steps}" if self._job.steps else self._job.name
        path, count = f"{FOLDER}/samples_{subject.stem}_{kind}.npz", subject.evaluation.neighbours
        arrays = {"samples": first}
        if count and self._train is not None:
            found = nearest_examples(first[:COMPARED], self._train, count)
            arrays |= {
                "neighbours": found.data,
                "neighbour_index": found.index,
                "neighbour_distance": found.distance,
            }
        subject.workdir.write(path, partial(save_arrays, arrays=arrays))
        return File(path, "samples", subject.model.step, subject.average, self._job.name, self._job.steps)
