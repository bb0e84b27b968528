"""Checkpoints, through orbax."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from sde_jax.errors import InputError
from sde_jax.training.state import TrainState


class Checkpoints:
    """The checkpoints of a run, one directory a step.

    Each holds the whole `TrainState` and a JSON record (the run's configuration, the position in the data). A save is
    asynchronous and counts only once it is committed as a whole; `keep` of them are kept. A context manager: leaving
    it waits for the last save.
    """

    def __init__(self, directory: Path, keep: int = 3):
        self.directory = directory.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
            atomicity_options=ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE),
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    @property
    def latest(self) -> int | None:
        """The newest committed step, None where there is none."""
        return self._manager.latest_step()

    def save(self, state: TrainState, record: dict[str, Any]) -> None:
        """Start saving the state under its step; errors of the save before this one are raised here."""
        step = int(state.step)
        if step == self.latest:
            return
        self._manager.check_for_errors()
        self._manager.save(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardSave(_tree(state)), record=ocp.args.JsonSave(record)),
        )

    def restore(self, like: TrainState) -> TrainState:
        """Return the newest state with the shapes, types and shardings of `like` (arrays, or their abstract shapes).

        Raises `InputError` where there is none, or where what was saved is of other shapes.
        """
        if self.latest is None:
            raise InputError(f"{self.directory}: no checkpoint there; train first")
        saved = self._restore(state=ocp.args.StandardRestore(_tree(like)))["state"]
        return TrainState(**saved)

    def record(self) -> dict[str, Any]:
        """Return the JSON record of the newest checkpoint."""
        return self._restore(record=ocp.args.JsonRestore())["record"]

    def _restore(self, **items: Any) -> Any:
        try:
            return self._manager.restore(self.latest, args=ocp.args.Composite(**items))
        except (ValueError, KeyError, OSError) as error:
            line = str(error).strip().splitlines()[0]
            raise InputError(f"{self.directory / str(self.latest)}: cannot be restored ({line})") from error


def _tree(state: TrainState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("step", "params", "averages", "optimizer")}


def abstract(state: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
    """Return the shapes and types of a state, to be restored with `sharding`."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), state)
