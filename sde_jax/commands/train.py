"""`sde-jax train`: train, or go on where a run stopped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.sharding import Mesh
from tqdm import tqdm

from sde_jax import nn
from sde_jax.commands.workdir import Workdir, abstract_state
from sde_jax.data import Splits, batches
from sde_jax.experiment import Experiment
from sde_jax.model import Record
from sde_jax.training import (
    Books,
    Checkpoints,
    Events,
    Interruption,
    TrainState,
    batch_loss,
    data_mesh,
    make_step,
    replicated,
    train,
)


def run(experiment: Experiment, directory: Path) -> int:
    """Train to `training.steps` in a run's directory; return the process's exit code.

    0 when done, `Interruption.EXIT_CODE` when a signal stopped it after saving: the same command then continues.
    """
    splits = experiment.data.open()
    record = Record(experiment, splits.shape, splits.levels)
    nn.abstract(experiment.network, record.shape)  # a network that does not fit the data is refused before all else
    workdir, mesh = Workdir(directory), data_mesh()
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
        state = _train(state, apply, record, splits, mesh, workdir, checkpoints, interruption)
    if interruption.signal and int(state.step) < experiment.training.steps:
        print(f"{interruption.signal.name}: saved step {int(state.step)}; run the same command to continue")
        return Interruption.EXIT_CODE
    return 0


def starting_point(record: Record, checkpoints: Checkpoints, mesh: Mesh) -> tuple[nn.Apply, TrainState]:
    """Return the network and the newest saved state, or a fresh one where nothing is saved."""
    experiment = record.experiment
    network, compute = experiment.network, experiment.compute
    if checkpoints.latest is not None:
        apply, params = nn.abstract(network, record.shape, compute)
        return apply, checkpoints.restore(abstract_state(record, params, mesh))
    apply, params = nn.initialized(network, record.shape, experiment.seed, compute)
    settings = experiment.training
    state = TrainState.create(params, settings.optimizer.transformation(), settings.average)
    return apply, jax.device_put(state, replicated(mesh))


def compiled_step(record: Record, apply: nn.Apply, mesh: Mesh) -> jax.stages.Wrapped:
    """Return the run's jitted train step."""
    experiment = record.experiment
    loss = batch_loss(apply, experiment.sde, experiment.objective, record.quantization)
    settings = experiment.training
    return make_step(loss, settings.optimizer.transformation(), settings.average, experiment.seed, mesh)


def _train(
    state: TrainState,
    apply: nn.Apply,
    record: Record,
    splits: Splits,
    mesh: Mesh,
    workdir: Workdir,
    checkpoints: Checkpoints,
    interruption: Interruption,
) -> TrainState:
    settings, first = record.experiment.training, int(state.step)
    stream = batches(
        splits.train,
        batch_size=settings.batch_size,
        seed=record.experiment.seed,
        start=first,
        flip=settings.flip,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )

    def save(state: TrainState) -> None:
        position = int(state.step) * settings.batch_size
        checkpoints.save(state, {"run": record.to_json(), "data_position": position})

    with (
        Books(workdir.path, first) as books,
        _progress(settings.steps, first, settings.batch_size, books) as log,
    ):
        events = Events(log, save, settings.log_every, settings.checkpoint_every)
        return train(state, compiled_step(record, apply, mesh), stream, mesh, settings.steps, events, interruption)


@contextmanager
def _progress(steps: int, first: int, batch_size: int, books: Books) -> Iterator:
    """Yield the log function: a progress bar with loss, images a second and time left, and the books."""
    with tqdm(total=steps, initial=first, desc="train", unit="step", mininterval=1.0) as bar:
        began = clock = time.monotonic()

        def log(state: TrainState, losses: list[tuple[int, float]]) -> None:
            nonlocal clock
            now = time.monotonic()
            rate = len(losses) * batch_size / (now - clock)
            clock = now
            loss = sum(value for _, value in losses) / len(losses)
            books.write(
                losses[-1][0],
                {"loss": loss, "images_per_second": rate, "seconds": books.seconds_before + now - began},
            )
            bar.set_postfix_str(f"loss {loss:.4f}, {rate:,.0f} images/s", refresh=False)
            bar.update(len(losses))

        yield log
