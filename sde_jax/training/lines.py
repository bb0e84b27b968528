"""JSON lines that outlive a kill at any moment."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.errors import writing
from sde_jax.placing import ordinary


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, none where there is none; what is no whole row, cut off by a kill, is left out."""
    rows = []
    for line in ordinary(path).read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return [row for row in rows if isinstance(row, dict)]


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row, on a line of its own also where a kill or a full disk cut the line before it off.

    Raises as `errors.writing` does.
    """
    with writing(path), path.open("ab+") as file:
        whole = file.tell() == 0 or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n"
        file.write(("" if whole else "\n").encode() + line(row).encode())


def replace_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of these rows in place of the one there, as `replace_text` does."""
    replace_text(path, "".join(map(line, rows)))


def replace_text(path: Path, text: str) -> None:
    """Write a file in place of the one there; a kill or a full disk leaves one or the other.

    Raises as `errors.writing` does.
    """
    partial = path.with_suffix(".partial")
    try:
        with writing(path):
            partial.write_text(text)
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of JSON; a number that JSON does not know, NaN or an infinity, is null."""
    return json.dumps({name: _plain(value) for name, value in row.items()}, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # an array or a number of NumPy or JAX
        return _plain(np.asarray(value).tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
