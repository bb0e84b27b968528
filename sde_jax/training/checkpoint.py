"""Checkpoints, through orbax."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from sde_jax.errors import InputError, RunError, shown
from sde_jax.processes import job
from sde_jax.training import manifest, storage
from sde_jax.training.agreement import agreed
from sde_jax.training.shelf import Shelf
from sde_jax.training.state import TrainState


class Checkpoints:
    """The checkpoints of a run, one directory a step.

    Each holds the whole `TrainState`, a JSON record (the run's configuration, the position in the data) and a
    manifest of both, against which it is checked before it is read. A save is asynchronous and counts only once it is
    committed as a whole: read back, manifest, then mark, by process 0 after all processes have written. The last `keep`
    are kept, and of every `keep_every` steps (0: none) the first.

    The newest that is sound is used. Those after it are set aside as `damaged-<step>`, with the reason in them, and
    what a killed save left is removed; with `read_only` nothing is touched, and the directory may be one in which a run
    is saving. Where there are checkpoints but none is sound, `InputError` says why of each: a run never starts again
    without a word. All processes must make and use one together; process 0 looks, and all do the same.

    A context manager: leaving it waits for the last save. Raises `InputError` too where the directory cannot be made,
    and, before anything is saved, where what is saved there could not be restored.
    """

    def __init__(self, directory: Path, keep: int = 3, read_only: bool = False, keep_every: int = 0):
        self.directory = directory.absolute()
        self._keep, self._read_only = (keep, keep_every), read_only
        self._shelf, self._sound = Shelf(self.directory), set[int]()
        self._saving: tuple[Path, dict[str, str]] | None = None
        if not read_only:
            agreed(self._prepare)
        self.latest: int | None = agreed(self._newest)
        """The newest step that was found sound, or was saved since; None where there never was one."""
        self._orbax = storage.checkpointer(self._write_manifest)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._wait()
        except RunError:
            if kind is None:  # else what was raised first says more
                raise
        finally:
            self._orbax.close()

    @property
    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        return self._shelf.steps

    def save(self, state: TrainState, record: dict[str, Any]) -> None:
        """Start saving the state under its step, unless it is the latest already.

        Raises `RunError` where it cannot, where the save before this one failed, and where a later step is there.
        """
        step, tree = int(state.step), _tree(state)
        if step == self.latest:
            return
        if self.latest is not None and step < self.latest:
            raise RunError(f"{self.directory}: step {step} cannot be saved: step {self.latest} is there already")
        self._wait()
        self._saving = self._shelf.folder(step), manifest.arrays_of(tree)
        items = ocp.args.Composite(state=ocp.args.StandardSave(tree), record=ocp.args.JsonSave(record))
        try:
            self._orbax.save(self._saving[0], args=items, force=True)
        except Exception as error:
            raise self._failure(error) from error
        self.latest = step

    def check(self) -> None:
        """Raise `RunError` where the save that was started last has failed meanwhile; waits for nothing."""
        try:
            self._orbax.check_for_errors()
        except Exception as error:
            raise self._failure(error) from error

    def restore(self, like: TrainState, step: int | None = None) -> TrainState:
        """Return a state, the newest sound one or that of `step`, with the shapes, types and shardings of `like`.

        `like` holds arrays, or their abstract shapes; its devices and processes need not be those of the save. Raises
        `InputError` where there is no such checkpoint, where `step` is damaged, and where arrays are missing, not
        expected, or of other shapes or types, with all of these.
        """
        tree = _tree(like)
        items = self._restore(step, manifest.arrays_of(tree), state=ocp.args.StandardRestore(tree))
        return type(like)(**items["state"])

    def record(self, step: int | None = None) -> dict[str, Any]:
        """Return the JSON record of a checkpoint, the newest or that of `step`; raises `InputError` as `restore`."""
        return self._restore(step, None, record=ocp.args.JsonRestore())["record"]

    def _restore(self, step: int | None, arrays: dict[str, str] | None, **items: Any) -> Any:
        self._wait()
        found = agreed(lambda: self._usable(step, arrays))
        if step is None:
            self.latest = found
        try:
            return self._orbax.restore(self._shelf.folder(found), args=ocp.args.Composite(**items))
        except Exception as error:
            reason = "the run that is saving there has removed it; start the command again"
            if found in self.steps:
                reason = f"cannot be restored ({shown(storage.line_of(error))})"
            raise InputError(f"{self._shelf.folder(found)}: {reason}") from error

    def _usable(self, step: int | None, arrays: dict[str, str] | None) -> int:
        if step is None:
            sound = self.latest in self.steps and not self._damage(self.latest)
            found = self.latest if sound else self._newest()
        else:
            found = self._asked(step)
        if found is None:
            raise InputError(f"{self.directory}: no checkpoint there yet; train first")
        folder = self._shelf.folder(found)
        if other := manifest.differences(folder, arrays) if arrays else []:
            advice = "choose another --workdir, or restore the config.json that belongs to it"
            raise InputError(
                "\n".join([f"{folder}: holds another network; {advice}", *(f"  {line}" for line in other)])
            )
        return found

    def _asked(self, step: int) -> int:
        if step not in self.steps:
            raise InputError(f"{self.directory}: no checkpoint of step {step} (there are {self.steps})")
        if reason := self._damage(step):
            raise InputError(f"{self._shelf.folder(step)}: damaged ({reason}); take another step of {self.steps}")
        return step

    def _newest(self) -> int | None:
        """Return the newest sound step, None where there never was a checkpoint; set the later ones aside."""
        steps, reasons = self.steps, {}
        for step in reversed(steps):
            if not (reason := self._damage(step)):
                self._leave(reasons)
                return step
            if step in self.steps:  # and not just removed by the run that is saving here
                reasons[step] = reason
        if steps and not reasons:
            return self._newest()
        lines = [f"{self._shelf.folder(step)}: damaged ({reason})" for step, reason in reasons.items()]
        lines += [f"{self.directory / name}: damaged ({reason})" for name, reason in self._shelf.aside.items()]
        if lines:
            advice = "put back a copy of one, or remove this directory to start again from nothing"
            raise InputError("\n".join([*lines, f"{self.directory}: no checkpoint can be used; {advice}"]))
        return None

    def _leave(self, reasons: dict[int, str]) -> None:
        for step, reason in reasons.items():
            folder = self._shelf.folder(step)
            place = "left there" if self._read_only else f"set aside as {self._shelf.set_aside(step, reason).name}"
            print(f"sde-jax: {folder}: damaged ({reason}); {place}, the checkpoint before it is used", file=sys.stderr)

    def _damage(self, step: int) -> str:
        reason = "" if step in self._sound else manifest.damage(self._shelf.folder(step))
        if not reason:
            self._sound.add(step)
        return reason

    def _prepare(self) -> None:
        storage.require_name(self.directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._shelf.clear()
            storage.require_storage(self.directory)
        except OSError as error:
            problem = f"no checkpoints can be kept there ({error.strerror}); remove it"
            raise InputError(f"{self.directory}: {problem}") from error

    def _write_manifest(self) -> None:
        assert self._saving is not None
        folder, arrays = self._saving
        storage.require_restorable(folder / "state", arrays)
        manifest.write(folder, arrays)

    def _wait(self) -> None:
        try:
            self._orbax.wait_until_finished()
        except Exception as error:
            raise self._failure(error) from error
        if self._saving is not None and job.is_first():
            self._shelf.prune(*self._keep)
        self._saving = None

    def _failure(self, error: Exception) -> RunError:
        folder, self._saving = self._saving and self._saving[0], None
        self.latest = max(self.steps, default=None)
        return RunError(f"{folder}: cannot be saved ({storage.line_of(error)}); what was saved before is there")


def _tree(state: TrainState) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def abstract(state: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
    """Return the shapes and types of a state, to be restored with `sharding`."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), state)
