"""`sde-jax train`: train, or go on where a run stopped."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sde_jax import nn, processes
from sde_jax.commands.capacity import require_memory
from sde_jax.commands.journal import Journal
from sde_jax.commands.preview import Previews
from sde_jax.commands.utilization import utilization
from sde_jax.commands.workdir import Workdir, abstract_state
from sde_jax.data import (
    DataContents,
    Splits,
    batches,
    checked,
    class_shown,
    examples_of,
    numbered_as,
    require_labels,
    unused_labels,
)
from sde_jax.errors import InputError, RunError
from sde_jax.experiment import Experiment
from sde_jax.model import Record
from sde_jax.training import (
    Anomaly,
    Books,
    Checkpoints,
    Clock,
    Events,
    Guard,
    Interruption,
    NoDegradation,
    Plan,
    RollBack,
    RollBackError,
    Row,
    Shelf,
    TrainState,
    TrainStep,
    append_line,
    make_step,
    require_name,
    sharded,
    train,
)

ANOMALIES = "anomalies.jsonl"
"""The file of a run's directory with a line for every step that was left out."""


def run(experiment: Experiment, directory: Path, accept_changed_data: bool = False) -> int:
    """Train to `training.steps` in a run's directory; return the process's exit code.

    0 when done, `processes.INTERRUPTED` when a signal stopped it after saving: the same command then continues. Raises
    `InputError` where the run's data are not those that it began with, unless told to accept that.
    """
    clock = Clock()
    experiment.training.tracker.require()
    require_name(directory)
    splits = _numbered(experiment, directory)
    record = replace(Record.of(experiment, splits), contents=DataContents.of(splits))
    require_facts(record, splits)
    nn.abstract(experiment.network, record.shape)  # a network that does not fit the data is refused before all else
    workdir, mesh = Workdir(directory), record.mesh()
    require_memory(record, mesh)
    saved = max(Shelf(workdir.checkpoints).steps, default=0)
    examples = {"training examples": str(len(splits.train)), "training examples, what they are": str(record.contents)}
    processes.require_same(processes.fingerprint(replace(record, contents=None).to_json(), saved) | examples)
    with (
        Interruption() as interruption,
        workdir.open_for(record, accept_changed_data) as (record, checkpoints),
    ):
        apply, state = starting_point(record, checkpoints, mesh)
        first = int(state.step)
        if first >= experiment.training.steps:
            print(f"{directory}: trained to step {first} already; raise --config.training.steps to go on")
            return 0
        if first:
            print(f"{directory}: continuing from step {first}")
        identity = workdir.identity
        trainer = Trainer(record, splits, apply, mesh, workdir, checkpoints, interruption, clock, identity)
        state = trainer.train(state)
    if int(state.step) < experiment.training.steps:
        who = interruption.signal.name if interruption.signal else "another process was told to stop"
        print(f"{who}: saved step {int(state.step)}; run the same command to continue")
        return processes.INTERRUPTED
    return 0


def _numbered(experiment: Experiment, directory: Path) -> Splits:
    """Return the data, open, their classes numbered as those of the run that is there already, if one is."""
    splits, workdir = experiment.data.open(), Workdir(directory)
    there = (workdir.path / "config.json").exists()
    classes = workdir.read_record(Record.of(experiment, splits)).classes if there else ()
    return numbered_as(splits, processes.first_says(classes))


def require_facts(record: Record, splits: Splits) -> None:
    """Raise `InputError` where the data do not say what the network is to be told of them; tell of unused classes."""
    if record.label_count:
        require_labels(splits.train, record.label_count, splits.classes)
        unused = unused_labels(splits.train, record.label_count, splits.classes)
        if unused and processes.is_first():
            named = ", ".join(class_shown(label, splits.classes) for label in unused[:8])
            more = ", ..." if unused[8:] else ""
            print(
                f"sde-jax: the network knows {record.label_count} classes, and no training example is of {named}{more}:"
                " what is drawn of these means nothing; see config.network.condition.classes",
                file=sys.stderr,
            )
    training = record.experiment.training
    given = {"label", *(["augmentation"] if training.augmentation.size else [])}
    given |= set() if isinstance(training.degradation, NoDegradation) else {"channels"}
    unknown = sorted(record.condition.hears().keys() - given)
    if unknown:
        raise InputError(
            f"config.network.condition: the network hears {', '.join(unknown)}, which neither the data nor "
            "config.training tells: expected a condition on labels, or on channels of a training.degradation"
        )


def starting_point(record: Record, checkpoints: Checkpoints, mesh: Mesh) -> tuple[nn.Apply, TrainState]:
    """Return the network and the newest saved state, or a fresh one where nothing is saved, laid out on the mesh."""
    experiment, settings = record.experiment, record.experiment.training
    network, compute = experiment.network, experiment.compute
    apply, _ = nn.abstract(network, record.shape, compute)
    like = abstract_state(record, mesh)
    if checkpoints.latest is not None:
        return apply, checkpoints.restore(like)

    def create() -> TrainState:
        _, params = nn.initialized(network, record.shape, experiment.seed, compute)
        return TrainState.create(params, settings.optimizer.transformation(), settings.average)

    return apply, jax.jit(create, out_shardings=sharded(like, mesh))()


def compiled_step(record: Record, apply: nn.Apply, mesh: Mesh) -> TrainStep:
    """Return the run's jitted train step."""
    experiment = record.experiment
    settings = experiment.training
    return make_step(
        abstract_state(record, mesh),
        record.loss(apply),
        settings.optimizer.transformation(),
        settings.average,
        experiment.seed,
        mesh,
        on_anomaly=settings.on_anomaly,
        accumulate=settings.accumulate,
    )


@dataclass(frozen=True)
class Trainer:
    """A run that is being trained: what it is, and where its parts are."""

    record: Record
    splits: Splits
    apply: nn.Apply
    mesh: Mesh
    workdir: Workdir
    checkpoints: Checkpoints
    interruption: Interruption
    clock: Clock
    identity: tuple[int, int] | None

    def train(self, state: TrainState) -> TrainState:
        """Train from a state on; from an earlier one again, with other data, where the experiment says so."""
        step = compiled_step(self.record, self.apply, self.mesh)
        rule, times = self.record.experiment.training.on_anomaly, 0
        with self._journal(int(state.step)) as journal:
            while True:
                try:
                    return self._train(step, state, journal)
                except RollBackError as back:
                    times += 1
                    if isinstance(rule, RollBack) and times > rule.limit:
                        raise RunError(f"{back}; rolled back {rule.limit} times already") from None
                    with self.clock("checkpoint"):
                        _, state = starting_point(self.record, self.checkpoints, self.mesh)
                    state = replace(state, position=jnp.full_like(state.position, back.position))
                    journal.rewind(int(state.step))
                    print(f"{back}; rolled back to step {int(state.step)}, on with batch {back.position}")

    @contextmanager
    def _journal(self, first: int) -> Iterator[Journal]:
        """Yield the journal of the run from step `first` on."""
        record, settings, clock = self.record, self.record.experiment.training, self.clock
        writing = processes.is_first()
        tracking = settings.tracker.open(self.workdir.path, record.to_json()) if writing else None
        with clock("compile"):
            rate = utilization(record, self.mesh) if writing else None
        previews = Previews(record, self.apply, self.mesh, self.workdir, clock) if settings.preview.every else None
        with (
            Books(self.workdir.path, first, clock, writing, tracking) as books,
            Journal(settings, books, clock, first, rate, previews) as journal,
        ):
            yield journal

    def _train(self, step: TrainStep, state: TrainState, journal: Journal) -> TrainState:
        settings = self.record.experiment.training
        stream = batches(
            self.splits.train,
            batch_size=settings.batch_size,
            seed=self.record.experiment.seed,
            start=int(state.position),
            flip=settings.flip,
            crop=settings.crop,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        stream = checked(stream, self.record.label_count) if self.record.label_count else stream
        per_call = settings.steps_per_call if jax.default_backend() != "cpu" else 1
        plan = Plan(settings.steps, settings.log_every, settings.checkpoint_every, per_call)
        guard = Guard(settings.on_anomaly, self._examples, self._tell)
        with self.clock("step"), settings.watchdog.watching(int(state.step)) as watch:
            events = self._events(journal, watch)
            return train(state, step, stream, self.mesh, plan, events, guard, self.interruption)

    def _events(self, journal: Journal, watch: processes.Watch) -> Events:
        def log(state: TrainState, rows: list[Row]) -> None:
            self.workdir.require_still(self.identity)
            with watch.paused():
                journal.log(state, rows)
            self.checkpoints.check()

        def save(state: TrainState) -> None:
            self.workdir.require_still(self.identity)
            position = int(state.position) * self.record.experiment.training.batch_size
            with watch.paused(), self.clock("checkpoint"):
                self.checkpoints.save(state, {"run": self.record.to_json(), "data_position": position})

        @contextmanager
        def spent(part: str) -> Iterator[None]:
            with self.clock(part), watch.paused() if part == "compile" else nullcontext():
                yield

        return Events(log, save, watch.beat, spent)

    def _examples(self, batch: int) -> np.ndarray:
        experiment = self.record.experiment
        size = experiment.training.batch_size
        return examples_of(batch, count=len(self.splits.train), batch_size=size, seed=experiment.seed)

    def _tell(self, anomaly: Anomaly) -> None:
        if processes.is_first():
            row = {name: value if np.isfinite(value).all() else str(value) for name, value in asdict(anomaly).items()}
            append_line(self.workdir.path / ANOMALIES, row)
