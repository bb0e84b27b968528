"""The books of a run: every logged number as a JSON line and as a TensorBoard event."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.errors import InputError, RunError, whole
from sde_jax.training.account import Account
from sde_jax.training.clock import Clock
from sde_jax.training.event_file import EventFile
from sde_jax.training.lines import append_line, read_lines, replace_lines
from sde_jax.training.tracker import Tracking

LARGEST = 1e300
"""No number of a row is as large."""


class Books:
    """Numbers by step, in `metrics.jsonl` and `tensorboard/` of a run's directory. A context manager.

    A run resumed at `step` drops what an interrupted one wrote after it, so that every step is there once. Each row
    has the run's `account` up to there, over all starts, as `Account.row` tells it; time is that of `clock`. What
    happened besides the steps, starts, rollbacks and ends, is in `history.jsonl`, with its step, its Unix time and
    the account; nothing is dropped there. With `writing` False, as in all processes but the first, nothing is
    touched. `tracking` is told what TensorBoard is. `rollbacks`: how many there were. A file that cannot be written is
    named at once: by `RunError` where the disk gave out, else by `InputError`.
    """

    FILE = "metrics.jsonl"
    HISTORY = "history.jsonl"

    def __init__(
        self,
        directory: Path,
        step: int,
        clock: Clock | None = None,
        writing: bool = True,
        tracking: Tracking | None = None,
    ):
        self._directory, self._clock, self._writing = directory, clock or Clock(), writing
        self._tracking = tracking
        self._before = Account()
        self.rollbacks = sum(row["event"] == "rollback" for row in read_history(directory))
        if writing:
            self._before = read_account(directory)
            self._open(step, "start")

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writing:
            self._close()
            with suppress(InputError, RunError):  # a full disk, which has been told of
                self._happened("end" if exception[0] is None else "error", self._step)
            if self._tracking:
                self._tracking.close(exception[0] is not None)

    @property
    def account(self) -> Account:
        """What became of the run's time up to now."""
        return self._before.plus(self._clock.seconds)

    def write(self, step: int, values: Mapping[str, Any], lost: float = 0.0) -> None:
        """Add the numbers of one step: numbers by name, or lists of them, and None for what is not known.

        `lost` is the time since the last row that went into skipped steps, in seconds.
        """
        self._before = replace(self._before, lost=self._before.lost + lost)
        if not self._writing:
            return
        self._step = step
        row = {"step": step, **values, **self.account.row()}
        append_line(self._directory / self.FILE, row)
        scalars = {tag: number for name, value in row.items() for tag, number in _scalars(name, value)}
        self._events.scalars(step, scalars)
        if self._tracking:
            self._tracking.log(step, scalars)

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Show a picture, uint8 [height, width, channels], in TensorBoard."""
        if self._writing:
            self._events.picture(step, name, pixels)
            if self._tracking:
                self._tracking.picture(step, name, pixels)

    def rewind(self, step: int) -> None:
        """Drop what was written after `step`, to which the run goes back."""
        self.rollbacks += 1
        if self._writing:
            self._close()
            self._open(step, "rollback")

    def _open(self, step: int, event: str) -> None:
        kept = [row for row in read_books(self._directory) if row["step"] <= step]
        now = self.account.rewound(Account.of(kept[-1]) if kept else Account())
        self._before = replace(self._before, lost=now.lost)
        self._step = step
        self._happened(event, step)
        replace_lines(self._directory / self.FILE, kept)
        suffix = f".{step}.{len(read_history(self._directory))}"
        self._events = EventFile(self._directory / "tensorboard", step + 1, suffix)

    def _close(self) -> None:
        self._events.close()

    def _happened(self, event: str, step: int) -> None:
        row = {"event": event, "time": time.time(), "step": step, **self.account.row()}
        append_line(self._directory / self.HISTORY, row)


def _scalars(name: str, value: Any) -> list[tuple[str, float]]:
    if name == "step" or value is None:
        return []
    if np.ndim(value) == 0:
        return [(name, float(value))]
    return [(f"{name}/{i}", float(item)) for i, item in enumerate(value) if item is not None]


def read_books(directory: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's directory, in order; what is no row, as one cut off by a kill, is left out."""
    return [row for row in read_lines(directory / Books.FILE) if _is_row(row)]


def read_history(directory: Path) -> list[dict[str, Any]]:
    """Return the starts, rollbacks and ends of a run, in order."""
    return [row for row in read_lines(directory / Books.HISTORY) if "time" in row and _is_row(row, "event")]


def _is_row(row: Mapping[str, Any], *text: str) -> bool:
    """Return whether a row has a step, and besides `text` nothing but numbers, lists of them, and None."""
    values = [value for name, value in row.items() if name not in text]
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    numbers = all(item is None or (isinstance(item, int | float) and abs(item) < LARGEST) for item in items)
    return numbers and whole(row.get("step"), 0) and all(isinstance(row.get(name), str) for name in text)


def read_account(directory: Path) -> Account:
    """Return what became of a run's time, as far as its rows tell."""
    # Of equally long accounts the one of the history is the later.
    rows = read_books(directory) + read_history(directory)
    return max(map(Account.of, reversed(rows)), key=lambda account: account.wall, default=Account())
