"""The directory of a run."""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from sde_jax import nn, processes
from sde_jax.errors import InputError, RunError
from sde_jax.model import Model, Record
from sde_jax.training import Checkpoints, TrainState, replicated, sharded
from sde_jax.typing import Params


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

    def require_new(self, flag: str) -> None:
        """Raise `InputError` where the directory, given by `flag`, holds a run."""
        if (self.path / "config.json").exists():
            raise InputError(f"{self.path}: holds a run already; choose another {flag}")

    @contextmanager
    def open_for(self, record: Record) -> Iterator[None]:
        """Hold the directory, with its record, for one job to train in: a new one, or one of the same training.

        The first process of the job holds it; the others wait until it does. Raises `InputError` where the directory
        cannot be written, holds another run (which is left as it is), or is held already. A process that ends, however
        it ends, holds it no more.
        """
        if not processes.is_first():
            processes.meet()
            yield
            return
        existing = self.read_record(record) if (self.path / "config.json").exists() else None
        other = differences(existing.identity(), record.identity()) if existing is not None else []
        if other:
            raise InputError(
                f"{self.path}: holds a run of another config ({', '.join(other[:4])}{' ...' if other[4:] else ''}); "
                "choose another --workdir, or remove this one"
            )
        with self._lock():
            self.write_json("config.json", record.to_json())
            processes.meet()
            yield

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
        try:
            data = json.loads((self.path / "config.json").read_text())
        except FileNotFoundError:
            raise InputError(f"{self.path}: no run there (no config.json); train first, or check --workdir") from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{self.path / 'config.json'}: cannot be read ({error})") from error
        if isinstance(data, dict) and "format_version" in data:
            advice = f"make one of it: sde-jax convert --checkpoint {self.path} --workdir ..."
            raise InputError(f"{self.path}: a published model, no run; {advice}")
        try:
            return Record.from_json(data, like)
        except InputError as error:
            raise InputError(
                "\n".join(f"{self.path / 'config.json'}: {line}" for line in str(error).splitlines())
            ) from None

    def write_json(self, name: str, data: Any) -> Path:
        """Write a JSON file as a whole or not at all, and return its path."""
        return self.write(name, lambda file: file.write_text(json.dumps(data, indent=2) + "\n"))

    def write(self, name: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` make a file under a passing name, then give it its own; raises `InputError` where it cannot.

        Of several processes the first alone does it.
        """
        target = self.path / name
        if not processes.is_first():
            return target
        partial = target.with_name(f".{os.getpid()}.{target.name}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write(partial)
            partial.replace(target)
        except OSError as error:
            raise InputError(f"{target}: cannot be written ({error.strerror}); choose another place") from error
        finally:
            with suppress(OSError):
                partial.unlink()
        return target

    def read_json(self, name: str) -> Any:
        """Return the data of a JSON file, None where there is none; raises `InputError` where it is damaged."""
        path = self.path / name
        try:
            return json.loads(path.read_text()) if path.exists() else None
        except ValueError as error:
            raise InputError(f"{path}: damaged ({error}); remove it") from error


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


@contextmanager
def failures_reported() -> Iterator[None]:
    """Raise what a solver says when it fails inside a compiled program as a `RunError` of one line."""
    try:
        yield
    except RuntimeError as error:
        said = re.search(r"[^\n:]*(did not reach|came to NaN) [^\n]*", str(error))
        if said is None:
            raise
        raise RunError(said.group().strip()) from None


def differences(there: Any, here: Any) -> list[str]:
    """Return the paths at which two JSON values differ, with both values."""
    paths = differing(there, here)
    return [f"{'.'.join(path)} = {at(there, path)!r} there, {at(here, path)!r} here" for path in paths]


def differing(there: Any, here: Any) -> list[tuple[str, ...]]:
    """Return the paths at which two JSON values differ, as the names of objects within objects."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = sorted(there.keys() | here.keys())
        return [(name, *path) for name in names for path in differing(there.get(name), here.get(name))]
    return [] if there == here else [()]


def at(data: Any, path: Sequence[str]) -> Any:
    """Return what a JSON value holds at a path of names, None where there is nothing."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data
