"""Held-out data: the training's loss, and bits per dimension."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax import processes
from sde_jax.codec import encode
from sde_jax.commands.evaluate.results import FOLDER, File, Row, finite, told
from sde_jax.commands.evaluate.subject import Subject
from sde_jax.commands.likelihood import Scorer, by_elbo, by_flow, rows_of
from sde_jax.commands.sample import save_arrays
from sde_jax.commands.workdir import failures_reported
from sde_jax.data import Source, passing
from sde_jax.model import Model
from sde_jax.objective import Independent
from sde_jax.training import NoAugmentation, Symmetry, by_example
from sde_jax.typing import Array, Batch, Key, Params


class Loss:
    """The loss that the run was trained with on every example, its label told where the network hears one.

    Nothing is dropped, moved or coupled: examples are not augmented and each has noise of its own.
    An example's is the mean over `evaluation.loss_draws` times, stratified, and noises, all drawn from the seed and its
    index: every checkpoint is measured by the same.
    """

    def __init__(self, model: Model, source: Source, total: int):
        record, apply = model.record, model.apply
        draws, told = record.experiment.evaluation.loss_draws, record.experiment.training.augmentation.size

        def network(params: Params, x: Array, label: Array, key: Any = None, condition: Any = None) -> Array:
            return apply(params, x, label) if condition is None else apply(params, x, label, condition=condition)

        self._trained = record.experiment.objective.gives_score
        objective = replace(record.experiment.objective, coupling=Independent())
        whole = {"label_dropout": 0.0, "augmentation": NoAugmentation(), "symmetry": Symmetry()}
        loss = replace(record.loss(network), objective=objective, **whole)

        def one(params: Params, key: Key, example: Batch) -> Array:
            example = {**example, **({"augmentation": jnp.zeros(told)} if told else {})}
            copies = jax.tree.map(lambda a: jnp.broadcast_to(a, (draws, *a.shape)), example)
            return loss(params, jax.random.fold_in(key, example["index"]), copies)

        self._losses = jax.jit(jax.vmap(one, in_axes=(None, None, 0)))
        self._source, self._total, self._draws = source, total, draws

    def measure(self, subject: Subject) -> np.ndarray:
        """Return the loss of every example."""
        experiment, mesh = subject.model.record.experiment, subject.model.record.mesh()
        rows = subject.at_once(experiment.evaluation.batch_size, self._total)
        of = {"part": "loss", "data": encode(experiment.data), "draws": self._draws}
        key = jax.random.key(experiment.evaluation.seed)

        def advance(losses: np.ndarray, first: int, last: int) -> np.ndarray:
            for batch, count in passing(self._source, rows, first, last):
                found = self._losses(subject.model.params, key, jax.device_put(batch, by_example(mesh)))
                losses = np.concatenate([losses, processes.on_host(found)[:count]])
            return losses

        return subject.rounds(of, self._total, rows).run(np.zeros(0), advance, "loss")

    def results(self, subject: Subject, measured: np.ndarray) -> tuple[list[Row], list[File]]:
        """Return the mean loss."""
        doubts = () if self._trained else ("of independent pairs, which the run was not trained on",)
        return [replace(_mean(subject, "loss", measured, doubts), part="loss", passes=self._draws)], []


class Likelihood:
    """Bits per dimension of every example, as `sde-jax likelihood` scores them, and their file."""

    def __init__(self, model: Model, source: Source, total: int):
        settings = model.record.experiment.likelihood
        rules = {"bits_per_dim": by_flow(model, settings.tolerance)}
        rules |= {"elbo_bits_per_dim": by_elbo(model)} if settings.elbo_strata else {}
        seed = model.record.experiment.evaluation.seed
        self._scorers = {name: Scorer(model, seed, rule) for name, rule in rules.items()}
        self._source, self._total = source, total

    def measure(self, subject: Subject) -> dict[str, dict[str, np.ndarray]]:
        """Return the scores of every example, by the name of the bound."""
        return {name: self._scored(subject, name) for name in self._scorers}

    def _scored(self, subject: Subject, name: str) -> dict[str, np.ndarray]:
        experiment = subject.model.record.experiment
        rows = rows_of(subject.model, self._total)
        of = {"part": name, "data": encode(experiment.data), "settings": encode(experiment.likelihood)}

        def advance(state: dict[str, np.ndarray], first: int, last: int) -> dict[str, np.ndarray]:
            for batch, count in passing(self._source, rows, first, last):
                scores = self._scorers[name](subject.model.params, batch)._asdict()
                scores["index"] = batch["index"]
                state = {key: np.concatenate([values, scores[key][:count]]) for key, values in state.items()}
            return state

        names = ("bits", "trace_error", "evaluations")
        start = {**{key: np.zeros(0) for key in names}, "index": np.zeros(0, np.int64)}
        with failures_reported():
            return subject.rounds(of, self._total, rows).run(start, advance, name)

    def results(self, subject: Subject, measured: dict[str, Any]) -> tuple[list[Row], list[File]]:
        """Return the mean of each bound."""
        settings = subject.model.record.experiment.likelihood
        rows = [
            replace(
                _mean(subject, name, scores["bits"], subject.model.record.null_token_warnings()),
                passes=settings.passes,
                evaluations=float(np.mean(scores["evaluations"])),
                details=told(trace_standard_error=float(np.linalg.norm(scores["trace_error"]) / self._total)),
                settings={"likelihood": encode(settings)},
            )
            for name, scores in measured.items()
        ]
        file = File(f"{FOLDER}/likelihood_{subject.stem}.npz", "likelihood", subject.model.step, subject.average)
        flow = measured["bits_per_dim"]
        arrays = {"bits_per_dim": flow["bits"], "index": flow["index"]}
        subject.workdir.write(file.path, lambda path: save_arrays(path, arrays))
        return rows, [file]


def _mean(subject: Subject, metric: str, values: np.ndarray, doubts: Sequence[str] = ()) -> Row:
    """Return the row of a mean over held-out examples, with its standard error and what is to be known of it."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    warnings = () if error is not None else ("one example has no standard error",)
    return Row(
        subject.model.step,
        "likelihood",
        metric,
        finite(float(np.mean(values))),
        len(values),
        subject.evaluation.seed,
        subject.average,
        error,
        warnings=(*warnings, *doubts),
    )
