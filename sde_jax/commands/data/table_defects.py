"""All that is wrong with a table of numbers."""

import csv
from pathlib import Path

import numpy as np

from sde_jax.data import Table
from sde_jax.errors import decimal
from sde_jax.placing import ordinary


def table(dataset: Table) -> tuple[np.ndarray | None, list[str]]:
    """Return a CSV's numbers [n, k], NaN for what is none, and every problem, a line each; (None, []) for other files.

    The k columns are those asked for that hold numbers; rows of other lengths than the first are left out.
    """
    if Path(dataset.path).suffix.lower() in (".parquet", ".pq"):
        return None, []
    try:
        with open(ordinary(dataset.path), encoding="utf-8-sig", newline="") as file:
            names, *rows = [[text.strip() for text in row] for row in csv.reader(file, delimiter=dataset.delimiter)]
    except (OSError, ValueError, csv.Error):
        return None, []
    whole = [row for row in rows if len(row) == len(names)]
    problems = [_told(dataset, f"{len(rows) - len(whole)} of {len(rows)} rows have not {len(names)} values")]
    problems = problems if len(whole) < len(rows) else []
    columns = []
    for index, name in enumerate(names):
        if whole and name != dataset.label and (not dataset.columns or name in dataset.columns):
            values = np.array([_number(row[index]) for row in whole])
            absent = np.flatnonzero(~np.isfinite(values))
            if len(absent) < len(values):
                columns.append(values)
            if len(absent):
                what = f"column {name!r} has no finite number in {len(absent)} of {len(values)} rows"
                advice = f"; --config.data.label={name}, if it is the class" if len(absent) == len(values) else ""
                place = f"as {whole[absent[0]][index]!r} in row {absent[0] + 1}"
                problems.append(_told(dataset, f"{what}, {place}") + advice)
    return (np.stack(columns, -1) if columns else None), problems


def _told(dataset: Table, found: str) -> str:
    return f"{dataset.path}: {found}; correct them or leave them out"


def _number(text: str) -> float:
    value = decimal(text)
    return np.nan if value is None or not np.isfinite(value) else value
