"""The books of a run: every logged number as a JSON line and as a TensorBoard event."""

import json
from pathlib import Path

from tensorboardX import SummaryWriter


class Books:
    """Numbers by step, in `metrics.jsonl` and `tensorboard/` of a run's directory. A context manager.

    A run resumed at `step` drops what an interrupted one wrote after it, so that every step is there once.
    `seconds_before` is the training time up to `step`.
    """

    FILE = "metrics.jsonl"

    def __init__(self, directory: Path, step: int):
        path = directory / self.FILE
        kept = [row for row in read_books(directory) if row["step"] <= step]
        # Under a passing name first: a kill in between must not lose the rows of days.
        partial = path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
        partial.replace(path)
        self.seconds_before = kept[-1]["seconds"] if kept else 0.0
        self._lines = path.open("a", buffering=1)
        self._events = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1, filename_suffix=f".{step}")

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *exception: object) -> None:
        self._lines.close()
        self._events.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add the numbers of one step."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._events.add_scalar(name, value, step)


def read_books(directory: Path) -> list[dict[str, float]]:
    """Return the rows of a run's directory, in order; a last line cut off by a kill is left out."""
    path = directory / Books.FILE
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
