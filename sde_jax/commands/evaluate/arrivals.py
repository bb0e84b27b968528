"""Which checkpoints are evaluated, and waiting for those of a run that is being trained."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sde_jax import processes
from sde_jax.errors import InputError, RunError
from sde_jax.training import Shelf
from sde_jax.training.manifest import FILE, damage

POLL = 2.0
"""Seconds between two looks."""
Asked = Literal["last", "all"] | tuple[int, ...]


@dataclass
class Arrivals:
    """The steps of the checkpoints that were asked for, ascending, each once: the last, all, or those given.

    With `patience`, also those that come later, until `final`, the training's last step, is there (where steps are
    given, until all are); `RunError` where none comes for so many seconds. Without, `InputError` for those not there.
    Damaged ones among the last and all are told and passed over. Processes iterate together, and the first looks.
    """

    shelf: Shelf
    asked: Asked
    final: int
    patience: float | None = None
    _done: list[int] = field(default_factory=list)
    _bad: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[int]:
        while (step := processes.first_says(self._next() if processes.is_first() else None)) is not None:
            self._done.append(step)
            yield step

    def require(self) -> None:
        """Raise `InputError` at once where what will be missing is missing now, and is not waited for."""
        if self.patience is None and processes.is_first():
            self._require(self.shelf.steps)

    def _next(self) -> int | None:
        began = time.monotonic()
        while not self._finished():
            there = [step for step in self.shelf.steps if step not in self._bad]
            waiting = [step for step in self._wanted(there) if step not in self._done]
            if waiting and self._sound(waiting[0]):
                return waiting[0]
            if waiting:
                continue
            if self.patience is None:
                self._require(there)
                return None
            if time.monotonic() - began > self.patience:
                raise RunError(
                    f"{self.shelf.path}: no checkpoint came for {self.patience:g} s, of {_named(self._missing(there))};"
                    " the same command goes on from here"
                )
            time.sleep(POLL)
        return None

    def _wanted(self, there: list[int]) -> list[int]:
        if self.asked == "all":
            return there
        if self.asked == "last":
            return [step for step in there if step >= self.final] if self.patience is not None else there[-1:]
        return [step for step in sorted(self.asked) if step in there]

    def _finished(self) -> bool:
        if self.asked == "all":
            return max(self._done, default=0) >= self.final
        return bool(self._done) if self.asked == "last" else set(self.asked) <= {*self._done}

    def _missing(self, there: list[int]) -> list[int]:
        steps = [self.final] if isinstance(self.asked, str) else self.asked
        return [step for step in steps if step not in there]

    def _require(self, there: list[int]) -> None:
        if not there:
            advice = "train first, or --follow SECONDS waits for those of a run that is being trained"
            raise InputError(f"{self.shelf.path}: no checkpoint there yet; {advice}")
        if isinstance(self.asked, tuple) and (absent := self._missing(there)):
            nearest = min(there, key=lambda step: abs(step - absent[0]))
            raise InputError(
                f"--checkpoints: no checkpoint of {_named(absent)} in {self.shelf.path}; did you mean {nearest}? "
                f"There are {', '.join(map(str, there))}"
            )

    def _sound(self, step: int) -> bool:
        reason = damage(self.shelf.folder(step))
        if reason and isinstance(self.asked, tuple):
            raise InputError(f"{self.shelf.folder(step)}: damaged ({reason}); choose other --checkpoints")
        if reason:
            self._bad.add(step)
            print(f"sde-jax: {self.shelf.folder(step)}: damaged ({reason}); passed over", file=sys.stderr)
        return not reason


def _named(steps: list[int]) -> str:
    return f"step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}"


def identity(shelf: Shelf, step: int) -> str:
    """Return what tells the checkpoint of a step from all others: the digest of its manifest."""
    return processes.first_says(json.loads((shelf.folder(step) / FILE).read_text())["digest"])
