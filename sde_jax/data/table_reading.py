"""Columns by name, from a CSV or Parquet file."""

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sde_jax.errors import InputError, shown
from sde_jax.placing import ordinary

Columns = tuple[dict[str, np.ndarray], list[str] | None]
_READERS = {".csv": "CSV", ".tsv": "CSV", ".txt": "CSV", ".parquet": "Parquet", ".pq": "Parquet"}


def read_columns(path: str, columns: Sequence[str], label: str, delimiter: str) -> Columns:
    """Return the columns of numbers by name, [n] float32 each, and the label's values as text, or None without one.

    No `columns` means all but the label. Raises `InputError` as `Table.open` says.
    """
    kind = Path(path).suffix.lower()
    if kind not in _READERS:
        raise InputError(
            f"{path} has the suffix {kind!r}; expected a table in one of {', '.join(_READERS)}: convert it"
        )
    with _failures_named(path, _READERS[kind]):
        if _READERS[kind] == "Parquet":
            return _read_parquet(path, columns, label)
        return _read_csv(path, columns, label, delimiter)


def _read_csv(path: str, columns: Sequence[str], label: str, delimiter: str) -> Columns:
    with open(ordinary(path), encoding="utf-8-sig", newline="") as file:
        names, *rows = [*csv.reader(file, delimiter=delimiter, strict=True)] or [[]]
    names = [name.strip() for name in names]
    if names and all(map(_is_number, names)):
        raise InputError(
            f"{path} begins with numbers ({shown(names[0])}, ...); expected the columns' names there: add them"
        )
    kept = _kept(path, names, columns, label)
    while rows and not rows[-1]:
        rows.pop()
    _check_rows(path, len(rows))
    for row, fields in enumerate(rows, 1):
        if len(fields) != len(names):
            raise InputError(
                f"{path}: row {row} has {len(fields)} values; expected {len(names)}, one for each name: correct it"
            )
    texts = {name: [fields[names.index(name)].strip() for fields in rows] for name in kept}
    labels = _present(path, label, texts.pop(label)) if label else None
    return {name: _numbers(path, name, text) for name, text in texts.items()}, labels


def _read_parquet(path: str, columns: Sequence[str], label: str) -> Columns:
    import pyarrow.parquet

    # Not read_table, which takes a folder named a=b in the path for a column.
    with pyarrow.parquet.ParquetFile(path) as file:
        kept = _kept(path, file.schema_arrow.names, columns, label)
        table = file.read(columns=kept)
    _check_rows(path, table.num_rows)
    for name in kept:
        if table[name].null_count:
            raise _missing(path, name, int(np.argmax(table[name].is_null().to_numpy())))
    labels = _present(path, label, table[label].cast("string").to_pylist()) if label else None
    read = {}
    for name in kept:
        if name != label:
            values = table[name].to_numpy()
            if values.dtype.kind not in "buif":
                raise _no_number(path, name, 0, table[name][0].as_py())
            read[name] = _finite(path, name, values)
    return read, labels


def _kept(path: str, names: Sequence[str], columns: Sequence[str], label: str) -> list[str]:
    kept = list(columns) if columns else [name for name in names if not label or name != label]
    if not kept:
        raise InputError(f"{path} has no columns to model; expected at least one of numbers: add some")
    for name in [*kept, *filter(None, [label])]:
        if name not in names:
            raise InputError(f"{path} has no column {name!r}; expected one of {', '.join(map(repr, names))}")
        if not name or names.count(name) > 1:
            raise InputError(
                f"{path} has {names.count(name)} columns named {name!r}; expected a name of its own for each: rename"
                " them, or leave an index out when you write the file"
            )
    return [*kept, *filter(None, [label])]


def _numbers(path: str, name: str, texts: list[str]) -> np.ndarray:
    for row, text in enumerate(_present(path, name, texts)):
        if not _is_number(text):
            raise _no_number(path, name, row, text)
    return _finite(path, name, np.array(texts).astype(np.float64))


def _finite(path: str, name: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        kept = values.astype(np.float32)
    wild = np.flatnonzero(~np.isfinite(kept))
    if len(wild):
        raise InputError(
            f"{path}: column {name!r} is {values[wild[0]]} in row {wild[0] + 1}; expected a finite number:"
            " correct it, or leave the row out"
        )
    return kept


def _present(path: str, name: str, texts: list[str]) -> list[str]:
    if "" in texts:
        raise _missing(path, name, texts.index(""))
    return texts


def _missing(path: str, name: str, row: int) -> InputError:
    return InputError(
        f"{path}: column {name!r} has no value in row {row + 1}; expected one in every row: fill it in, or leave the"
        " row or the column out"
    )


def _no_number(path: str, name: str, row: int, value: object) -> InputError:
    return InputError(
        f"{path}: column {name!r} is {value!r} in row {row + 1}; expected numbers: leave it out of columns, or make it"
        " the label"
    )


def _check_rows(path: str, count: int) -> None:
    if not count:
        raise InputError(f"{path} has no rows; expected some below the columns' names: check the path")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _failures_named(path: str, kind: str) -> Iterator[None]:
    # The readers fail on damaged input with many types of exceptions.
    try:
        yield
    except InputError:
        raise
    except ModuleNotFoundError as error:
        raise InputError(f"{path} needs {error.name} to be read; install it: pip install {error.name}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} cannot be read as {kind} ({reason}); check the path and the delimiter, or write it again"
        ) from error
