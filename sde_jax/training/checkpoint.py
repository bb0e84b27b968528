"""Checkpoints, through orbax."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from sde_jax.errors import InputError, RunError
from sde_jax.training import manifest
from sde_jax.training.state import TrainState


class Checkpoints:
    """The checkpoints of a run, one directory a step.

    Each holds the whole `TrainState`, a JSON record (the run's configuration, the position in the data) and a
    manifest of both, against which it is checked before it is read. A save is asynchronous and counts only once it is
    committed as a whole; `keep` of them are kept. What a killed save left is removed, unless `read_only`: the
    directory may then be one in which a run is saving. A context manager: leaving it waits for the last save.
    Raises `InputError` where the directory cannot be made.
    """

    def __init__(self, directory: Path, keep: int = 3, read_only: bool = False):
        self.directory = directory.absolute()
        try:
            if not read_only:
                self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{directory}: no checkpoints can be kept there ({error.strerror}); remove it") from error
        self._saving: tuple[Path, dict[str, str]]
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else keep,
            create=False,
            read_only=read_only,
            cleanup_tmp_directories=not read_only,
            atomicity_options=ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE),
            enable_async_checkpointing=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=lambda: manifest.write(*self._saving)),
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._wait()
        self._manager.close()

    @property
    def latest(self) -> int | None:
        """The newest committed step, None where there is none."""
        return self._manager.latest_step()

    @property
    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, record: dict[str, Any]) -> None:
        """Start saving the state under its step; raises `RunError` where the save before this one failed."""
        step, tree = int(state.step), _tree(state)
        if step == self.latest:
            return
        self._wait()
        self._saving = self.directory / str(step), manifest.arrays_of(tree)
        self._manager.save(
            step, args=ocp.args.Composite(state=ocp.args.StandardSave(tree), record=ocp.args.JsonSave(record))
        )

    def restore(self, like: TrainState, step: int | None = None) -> TrainState:
        """Return a state, the newest or that of `step`, with the shapes, types and shardings of `like`.

        `like` holds arrays, or their abstract shapes. Raises `InputError` where there is no such checkpoint, or where
        it is damaged or of other shapes or types.
        """
        tree = _tree(like)
        items = self._restore(step, manifest.arrays_of(tree), state=ocp.args.StandardRestore(tree))
        return TrainState(**items["state"])

    def record(self, step: int | None = None) -> dict[str, Any]:
        """Return the JSON record of a checkpoint, the newest or that of `step`; raises `InputError` as `restore`."""
        return self._restore(step, None, record=ocp.args.JsonRestore())["record"]

    def _restore(self, step: int | None, arrays: dict[str, str] | None, **items: Any) -> Any:
        self._wait()
        if self.latest is None:
            raise InputError(f"{self.directory}: no checkpoint there yet; train first")
        if step is not None and step not in self.steps:
            raise InputError(f"{self.directory}: no checkpoint of step {step} (there are {self.steps})")
        step = self.latest if step is None else step
        manifest.check(self.directory / str(step), arrays)
        return self._manager.restore(step, args=ocp.args.Composite(**items))

    def _wait(self) -> None:
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            reason = next(iter(str(error).splitlines()), repr(error))
            raise RunError(f"{self._saving[0]}: cannot be saved ({reason}); what was saved before is there") from error


def _tree(state: TrainState) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def abstract(state: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
    """Return the shapes and types of a state, to be restored with `sharding`."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), state)
