"""`sde-jax train`: train, or go on where a run stopped."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from sde_jax import nn
from sde_jax.commands.workdir import Workdir, abstract_state
from sde_jax.data import Splits, batches, examples_of
from sde_jax.errors import RunError
from sde_jax.experiment import Experiment
from sde_jax.model import Record
from sde_jax.training import (
    Anomaly,
    BatchLoss,
    Books,
    Checkpoints,
    Events,
    Guard,
    Interruption,
    Plan,
    RollBack,
    RollBackError,
    Row,
    TrainState,
    TrainStep,
    make_step,
    sharded,
    train,
)

ANOMALIES = "anomalies.jsonl"
"""The file of a run's directory with a line for every step that was left out."""


def run(experiment: Experiment, directory: Path) -> int:
    """Train to `training.steps` in a run's directory; return the process's exit code.

    0 when done, `Interruption.EXIT_CODE` when a signal stopped it after saving: the same command then continues.
    """
    splits = experiment.data.open()
    record = Record(experiment, splits.shape, splits.levels)
    nn.abstract(experiment.network, record.shape)  # a network that does not fit the data is refused before all else
    workdir, mesh = Workdir(directory), experiment.training.mesh.over()
    with (
        workdir.open_for(record),
        Interruption() as interruption,
        Checkpoints(
            workdir.checkpoints, experiment.training.keep, keep_every=experiment.training.keep_every
        ) as checkpoints,
    ):
        apply, state = starting_point(record, checkpoints, mesh)
        first = int(state.step)
        if first >= experiment.training.steps:
            print(f"{directory}: trained to step {first} already; raise --config.training.steps to go on")
            return 0
        if first:
            print(f"{directory}: continuing from step {first}")
        trainer = Trainer(record, splits, apply, mesh, workdir, checkpoints, interruption)
        state = trainer.train(state)
    if interruption.signal and int(state.step) < experiment.training.steps:
        print(f"{interruption.signal.name}: saved step {int(state.step)}; run the same command to continue")
        return Interruption.EXIT_CODE
    return 0


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
        BatchLoss(apply, experiment.sde, experiment.objective, record.quantization),
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

    def train(self, state: TrainState) -> TrainState:
        """Train from a state on; from an earlier one again, with other data, where the experiment says so."""
        step = compiled_step(self.record, self.apply, self.mesh)
        rule, times = self.record.experiment.training.on_anomaly, 0
        while True:
            try:
                return self._train(step, state)
            except RollBackError as back:
                times += 1
                if isinstance(rule, RollBack) and times > rule.limit:
                    raise RunError(f"{back}; rolled back {rule.limit} times already") from None
                _, state = starting_point(self.record, self.checkpoints, self.mesh)
                state = replace(state, position=jnp.full_like(state.position, back.position))
                print(f"{back}; rolled back to step {int(state.step)}, on with batch {back.position}")

    def _train(self, step: TrainStep, state: TrainState) -> TrainState:
        settings = self.record.experiment.training
        first, position = int(state.step), int(state.position)
        stream = batches(
            self.splits.train,
            batch_size=settings.batch_size,
            seed=self.record.experiment.seed,
            start=position,
            flip=settings.flip,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        per_call = settings.steps_per_call if jax.default_backend() != "cpu" else 1
        plan = Plan(settings.steps, settings.log_every, settings.checkpoint_every, per_call)
        guard = Guard(settings.on_anomaly, self._examples, self._tell)
        with (
            Books(self.workdir.path, first) as books,
            _progress(settings.steps, first, settings.batch_size, books) as log,
        ):
            events = Events(log, self._save)
            return train(state, step, stream, self.mesh, plan, events, guard, self.interruption)

    def _save(self, state: TrainState) -> None:
        position = int(state.position) * self.record.experiment.training.batch_size
        self.checkpoints.save(state, {"run": self.record.to_json(), "data_position": position})

    def _examples(self, batch: int) -> np.ndarray:
        experiment = self.record.experiment
        size = experiment.training.batch_size
        return examples_of(batch, count=len(self.splits.train), batch_size=size, seed=experiment.seed)

    def _tell(self, anomaly: Anomaly) -> None:
        if jax.process_index() == 0:
            row = {name: value if np.isfinite(value).all() else str(value) for name, value in asdict(anomaly).items()}
            with (self.workdir.path / ANOMALIES).open("a") as file:
                file.write(json.dumps(row) + "\n")


@contextmanager
def _progress(steps: int, first: int, batch_size: int, books: Books) -> Iterator[Callable]:
    """Yield the log function: a progress bar with loss, images a second and time left, and the books."""
    with tqdm(total=steps, initial=first, desc="train", unit="step", mininterval=1.0) as bar:
        began = clock = time.monotonic()

        def log(state: TrainState, rows: list[Row]) -> None:
            nonlocal clock
            now, step = time.monotonic(), int(state.step)
            rate = (step - bar.n) * batch_size / (now - clock)
            clock = now
            bar.update(step - bar.n)
            if rows:
                loss = float(np.mean([row.metrics.loss for row in rows]))
                seconds = books.seconds_before + now - began
                books.write(step, {"loss": loss, "images_per_second": rate, "seconds": seconds})
                bar.set_postfix_str(f"loss {loss:.4f}, {rate:,.0f} images/s", refresh=False)

        yield log
