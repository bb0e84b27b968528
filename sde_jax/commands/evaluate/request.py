"""What an evaluation is asked for, and what a run makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sde_jax.codec import components, nearest
from sde_jax.commands import samplers
from sde_jax.commands.evaluate.arrivals import Asked
from sde_jax.commands.evaluate.results import PARTS
from sde_jax.commands.settings import lawless
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.metrics import Frechet, Metric
from sde_jax.model import Record
from sde_jax.sampling import FixedGridSolver

ELSEWHERE = {
    "fid": "Frechet, which is the FID of --features Inception",
    "kid": "Kernel, which is the KID of --features Inception",
    "mmd": "Kernel",
    "is": "InceptionScore",
    "precision": "PrecisionRecall",
    "recall": "PrecisionRecall",
    "density": "DensityCoverage",
    "coverage": "DensityCoverage",
    "swd": "SlicedWasserstein",
}
"""What metrics that are known by other names are here."""
CHANGED = ("evaluation", "likelihood", "samplers", "data")
"""The settings of a trained run that an evaluation may change: what does not say what was trained."""


@dataclass(frozen=True)
class Job:
    """Samples of one kind: the sampler called `name`, on a grid of `steps`, None where it makes steps of its own."""

    name: str
    sampler: Sampler

    @property
    def steps(self) -> int | None:
        """The steps of its grid."""
        return self.sampler.steps if isinstance(self.sampler.solver, FixedGridSolver) else None


@dataclass(frozen=True)
class Request:
    """What is asked for beside the run's own settings.

    parts: some of `PARTS`; checkpoints, patience: as `Arrivals`; steps: of the grid, each with every sampler, none: its
    own; metrics: names of the config's, or of classes of metrics, none: all of the config's; num_examples: the first so
    many held-out ones alone; average: its name; reference: a file of mean and covariance that Fréchet distances are
    taken to; write_reference: where to write those of the data; cache: the folder of statistics of data, None: the
    user's; overrides: changes of the settings at dotted paths.
    """

    parts: tuple[str, ...] = PARTS
    checkpoints: Asked = "last"
    patience: float | None = None
    steps: tuple[int, ...] = ()
    metrics: tuple[str, ...] = ()
    num_examples: int | None = None
    average: str | None = None
    reference: Path | None = None
    write_reference: Path | None = None
    cache: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def record(self, record: Record) -> Record:
        """Return the record of a run with the settings changed; raises `InputError` with every problem found."""
        allowed = {path: value for path, value in self.overrides.items() if path.split(".")[0] in CHANGED}
        experiment, problems = self._sampled(record.experiment, allowed)
        choice, (*most, last) = self._metrics(experiment), CHANGED
        problems += [
            f"--config.{path}: `evaluate` changes {', '.join(most)} and {last}; all else is as it was trained"
            for path in self.overrides.keys() - allowed.keys()
        ]
        problems += [
            f"--parts={part}: no such part; {nearest(part, PARTS)}" for part in self.parts if part not in PARTS
        ]
        problems += [_no_metric(name, choice) for name in self.metrics if name not in choice]
        if self.num_examples is not None and self.num_examples < 1:
            problems.append(f"--num_examples={self.num_examples}: expected 1 or more")
        if not problems and "samples" in self.parts:
            problems += self._unfit(experiment)
        if not problems and "likelihood" in self.parts and experiment.likelihood.elbo_strata:
            experiment.objective.require_score(f"config.likelihood.elbo_strata = {experiment.likelihood.elbo_strata}")
        metrics = experiment.evaluation.metrics
        if not problems and self.metrics:
            metrics = {name: choice[name] for name in self.metrics}
        if not any(isinstance(metric, Frechet) for metric in metrics.values()):
            files = {"--reference": self.reference, "--write_reference": self.write_reference}
            what = "mean and covariance, which serve Frechet alone; choose it in --metrics"
            problems += [f"{flag}={file}: {what}" for flag, file in files.items() if file is not None]
        if problems:
            raise InputError("\n".join(problems))
        evaluation = replace(experiment.evaluation, metrics=metrics)
        return replace(record, experiment=replace(experiment, evaluation=evaluation))

    def asked(self, experiment: Experiment) -> Sequence[str]:
        """Return the names of the samplers asked for; none: the run's first."""
        asked = self.overrides.get("evaluation.samplers", experiment.evaluation.samplers)
        return [name.strip() for name in asked.strip("()[] ").split(",")] if isinstance(asked, str) else asked

    def _sampled(self, experiment: Experiment, changes: Mapping[str, Any]) -> tuple[Experiment, list[str]]:
        """Return the experiment changed, with the library's samplers that are asked for, and every problem found."""
        names = self.asked(experiment)
        made = {path.split(".")[1] for path in changes if path.startswith("samplers.")}
        there = samplers.names(experiment)
        odd = [name for name in names if name not in (*there, *made)]
        told = [f"evaluation.samplers: no sampler {name!r}; {nearest(name, there)}" for name in odd]
        return (experiment, told) if told else samplers.with_solvers(experiment, names, changes)

    def jobs(self, experiment: Experiment) -> list[Job]:
        """Return every kind of samples, sampler by sampler."""
        names = experiment.evaluation.samplers or tuple(experiment.samplers)[:1]
        kinds = {name: experiment.samplers[name] for name in names}
        return [
            Job(name, samplers.of_steps(name, kind, steps) if self.steps else kind)
            for name, kind in kinds.items()
            for steps in self.steps or (kind.steps,)
        ]

    def _metrics(self, experiment: Experiment) -> dict[str, Metric]:
        """Return all metrics there are by name: the config's, and one of every class."""
        classes = components(Metric).items()
        return {**{name: cls() for name, cls in classes}, **experiment.evaluation.metrics}

    def _unfit(self, experiment: Experiment) -> Iterator[str]:
        if not experiment.samplers:
            yield "config.samplers: none; expected one to draw samples with"
        try:
            for job in self.jobs(experiment):
                there = {job.name: job.sampler}
                yield from lawless(experiment.objective, there)
                yield from samplers.unfit(experiment.sde, there)
        except InputError as error:
            yield str(error)


def _no_metric(name: str, choice: Mapping[str, Metric]) -> str:
    here = next((known for known in choice if known.lower() == name.lower()), ELSEWHERE.get(name.lower()))
    return f"--metrics={name}: no such metric; {f'here it is {here}' if here else nearest(name, choice)}"
