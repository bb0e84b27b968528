"""Services that follow a run, besides its own books."""

import importlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from sde_jax.errors import InputError
from sde_jax.training.lines import replace_text


class Tracking(Protocol):
    """A run that is being followed."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Be told the numbers of a step."""
        ...

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Be shown a picture, uint8 [height, width, channels]."""
        ...

    def close(self, failed: bool) -> None:
        """Be told that the process ends, or failed."""
        ...


class Tracker(Protocol):
    """What follows runs."""

    def require(self) -> None:
        """Raise `InputError` where it cannot be had."""
        ...

    def open(self, directory: Path, config: Mapping[str, Any]) -> Tracking:
        """Begin to follow the run of a directory, or go on."""
        ...


@dataclass(frozen=True)
class Untracked:
    """Nothing does: the numbers are in `metrics.jsonl` and TensorBoard."""

    def require(self) -> None:
        """Do nothing."""

    def open(self, directory: Path, config: Mapping[str, Any]) -> Tracking:
        """Return what does nothing."""
        return _Nobody()


class _Nobody:
    def log(self, step: int, values: Mapping[str, float]) -> None: ...
    def picture(self, step: int, name: str, pixels: np.ndarray) -> None: ...
    def close(self, failed: bool) -> None: ...


@dataclass(frozen=True)
class WandB:
    """Weights & Biases; needs `pip install "sde-jax[wandb]"`.

    mode: "online", or "offline" to be sent later by `wandb sync`; entity, name: the service's and the directory's own
    where empty. A directory stays one run of the service over all starts: its id is in `wandb.json`. What the service
    has of a step is kept when the step is made again. Raises `InputError` for another mode or an empty project.
    """

    project: str = "sde-jax"
    entity: str = ""
    name: str = ""
    mode: Literal["online", "offline"] = "online"

    FILE = "wandb.json"

    def __post_init__(self):
        if self.mode not in ("online", "offline") or not self.project:
            raise InputError(f"{self}: expected mode online or offline, and a project")

    def require(self) -> None:
        """Raise `InputError` where the package is missing."""
        if find_spec("wandb") is None:
            raise InputError(
                "training.tracker = WandB: the package wandb is not installed; pip install 'sde-jax[wandb]', or set "
                "training.tracker=Untracked"
            )

    def open(self, directory: Path, config: Mapping[str, Any]) -> Tracking:
        """Begin the service's run, or go on with it; raises `InputError` where the service does not take it."""
        self.require()
        wandb = importlib.import_module("wandb")
        try:
            run = wandb.init(
                project=self.project,
                entity=self.entity or None,
                name=self.name or directory.absolute().name,
                id=_identity(directory / self.FILE),
                resume="allow",
                mode=self.mode,
                dir=str(directory),
                config=dict(config),
            )
        except wandb.errors.Error as error:
            reason = " ".join(str(error).split())
            raise InputError(f"training.tracker = WandB: {reason}; try training.tracker.mode=offline") from error
        return _WandBRun(run, wandb.Image)


class _WandBRun:
    def __init__(self, run: Any, image: Any):
        self._run, self._image = run, image

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        self._run.log({name: self._image(pixels)}, step=step)

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def _identity(path: Path) -> str:
    if not path.exists():
        replace_text(path, json.dumps({"id": secrets.token_hex(8)}) + "\n")
    return json.loads(path.read_text())["id"]
