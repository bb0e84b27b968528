"""The directory of a run."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from sde_jax import nn, processes
from sde_jax.commands.continuing import continued, require_same
from sde_jax.errors import InputError, RunError, shown, writing
from sde_jax.model import Model, Record
from sde_jax.placing import ordinary, placed, placed_file, require_directory, require_place
from sde_jax.training import Checkpoints, Shelf, TrainState, replicated, require_name, sharded
from sde_jax.typing import Params

FREE = (".lock",)
"""What the directory of a new run may hold."""


@dataclass(frozen=True)
class Workdir:
    """A run's directory: `config.json`, `checkpoints/`, the books, and what the commands write beside them."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    def saved(self) -> Checkpoints:
        """Return the run's checkpoints, to be read; raises `InputError` where there are none."""
        if not self.checkpoints.is_dir():
            raise InputError(f"{self.path}: no checkpoint there yet; train first")
        return Checkpoints(self.checkpoints, read_only=True)

    def require_own(self, checkpoints: Checkpoints, step: int | None = None) -> None:
        """Raise `InputError` where a checkpoint, the newest or that of `step`, is of another run than `config.json`."""
        if "run" in (saved := checkpoints.record(step)):
            record = self.read_record()
            require_same(self.checkpoints, Record.from_json(saved["run"], record), record)

    def require_new(self, flag: str) -> None:
        """Raise `InputError` where the directory, given by `flag`, holds a run, or cannot hold one."""
        require_name(self.path)
        if (self.path / "config.json").exists():
            raise InputError(f"{shown(self.path)}: holds a run already; choose another {flag}")
        require_directory(self.path.resolve(), FREE)

    @contextmanager
    def made(self, record: Record) -> Iterator[Checkpoints]:
        """Yield the checkpoints of a new run, which is there, as a whole, once the block has ended.

        Raises `InputError` where the directory is neither new nor empty, or cannot be written.
        """
        with placed(self.path.resolve(), FREE) as place, Workdir(place).open_for(record) as (_, checkpoints):
            yield checkpoints

    @contextmanager
    def open_for(self, record: Record, accept: bool = False) -> Iterator[tuple[Record, Checkpoints]]:
        """Hold the directory for one job to train in, new or of the same training; yield its record and checkpoints.

        The first process of the job holds it; the others wait until it does. The record is the one to go on with, as
        `continued` returns it, which raises `InputError` for another run by the `config.json` there or by the newest
        checkpoint. Raises it too where the directory cannot be written, or is held already. It is left as it is then.
        A process that ends, however it ends, holds it no more.
        """
        require_name(self.path)
        resumed = processes.first_says(self._resumed(record, accept) if processes.is_first() else None)
        record = record if resumed is None else Record.from_json(resumed, record)
        with self._held():
            settings = record.experiment.training
            with Checkpoints(self.checkpoints, settings.keep, keep_every=settings.keep_every) as checkpoints:
                record = self._of_checkpoint(record, checkpoints, accept, alone=resumed is None)
                self.write_json("config.json", record.to_json())
                yield record, checkpoints

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not processes.is_first():
            processes.meet()
            yield
            return
        with self._lock():
            processes.meet()
            yield

    def _resumed(self, record: Record, accept: bool) -> dict[str, Any] | None:
        """Return the record with which the run of the `config.json` there goes on, as JSON; None without one."""
        if not (self.path / "config.json").exists():
            return None
        step = max(Shelf(self.checkpoints).steps, default=0)
        return continued(self.path, self.read_record(record), record, step, accept).to_json()

    def _of_checkpoint(self, record: Record, checkpoints: Checkpoints, accept: bool, alone: bool) -> Record:
        """Return the record with which the newest checkpoint goes on: `alone`, its own word on the data counts."""
        step = checkpoints.latest
        if step is None or "run" not in (saved := checkpoints.record()):
            return record
        there = Record.from_json(saved["run"], record)
        there = there if alone else replace(there, contents=record.contents, accepted=record.accepted)
        return continued(self.checkpoints / str(step), there, record, step, accept)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); choose another --workdir") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"{self.path}: another process is training there; wait for it, or choose another --workdir"
                ) from error
            except OSError:
                pass  # a file system without locks
            yield

    def read_record(self, like: Record | None = None) -> Record:
        """Return the run's record, as `Record.from_json`; raises `InputError` where there is none or it is damaged."""
        path = self.path / "config.json"
        try:
            data = json.loads(ordinary(path).read_text())
        except FileNotFoundError:
            raise InputError(f"{self.path}: no run there (no config.json); train first, or check --workdir") from None
        except InputError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: cannot be read ({shown(error)})") from error
        if isinstance(data, dict) and "format_version" in data:
            advice = f"make one of it: sde-jax convert --checkpoint {self.path} --workdir ..."
            raise InputError(f"{self.path}: a published model, no run; {advice}")
        try:
            return Record.from_json(data, like)
        except InputError as error:
            raise InputError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None

    @property
    def identity(self) -> tuple[int, int] | None:
        """What the file system knows the directory by, wherever it is moved; None where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def require_still(self, identity: tuple[int, int] | None) -> None:
        """Raise `RunError` where the directory is not the one of this identity any more, before it is made anew."""
        if processes.is_first() and self.identity != identity:
            what = "was removed" if self.identity is None else "is another directory now"
            raise RunError(f"{self.path}: the run's directory {what}, or was moved; train where its checkpoints are")

    def write_json(self, name: str, data: Any) -> Path:
        """Write a JSON file as a whole or not at all, and return its path."""
        return self.write(name, lambda file: file.write_text(json.dumps(data, indent=2) + "\n"))

    def write(self, name: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` make a file under a passing name, then give it its own; of several processes the first alone.

        Raises as `errors.writing` does where it cannot.
        """
        target = self.path / name
        if not processes.is_first():
            return target
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with placed_file(target) as passing:
                write(passing)
        return target

    def require_places(self, *names: str) -> None:
        """Raise `InputError`, before the work whose outcome they are to hold, unless `write` could make these files."""
        if processes.is_first():
            for name in names:
                require_place(self.path / name)

    def read_json(self, name: str) -> Any:
        """Return the data of a JSON file, None where there is none; raises `InputError` where it is damaged."""
        path = self.path / name
        try:
            return json.loads(ordinary(path).read_text()) if path.exists() else None
        except InputError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: damaged ({shown(error)}); remove it") from error


def load(workdir: Workdir, name: str | None = None, step: int | None = None, record: Record | None = None) -> Model:
    """Return the model of the newest checkpoint, or of `step`, its parameters on every device of its record's mesh.

    Its parameters are the average called `name`, or that which the run samples with. `record` stands in the place of
    the run's own, which it differs from in what does not say what was trained. Raises `InputError` where there is no
    average of that name or no such checkpoint.
    """
    record = record or workdir.read_record()
    require_average(record, name)
    mesh, average = record.mesh(), record.experiment.training.average
    apply, _ = nn.abstract(record.experiment.network, record.shape, record.experiment.compute)
    like = abstract_state(record, mesh)
    with workdir.saved() as checkpoints:
        state = checkpoints.restore(like, step)
        workdir.require_own(checkpoints, step)
    params = average.params(state.averages) if name is None else average.named(state.averages)[name]
    # The whole state may be more than a device holds: it was restored in shares.
    params = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(params)
    return Model(record, apply, params, int(state.step))


def require_average(record: Record, name: str | None) -> None:
    """Raise `InputError` unless the run has an average of this name, or none is named."""
    names = record.experiment.training.average.named(abstract_state(record, record.mesh()).averages)
    if name is not None and name not in names:
        raise InputError(f"--average={name}: this run has {', '.join(names) or 'one average alone, without a name'}")


def abstract_state(record: Record, mesh: Mesh, params: Params | None = None) -> TrainState:
    """Return the shapes, types and shardings of the run's train state; params: those of its network, where known."""
    if params is None:
        _, params = nn.abstract(record.experiment.network, record.shape, record.experiment.compute)
    settings = record.experiment.training
    optimizer = settings.optimizer.transformation()
    state = jax.eval_shape(lambda p: TrainState.create(p, optimizer, settings.average), params)
    return jax.tree.map(
        lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), state, sharded(state, mesh)
    )
