"""Columns by name, from a CSV or Parquet file."""

import collections
import contextlib
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.errors import InputError, decimal, shown
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
    content = ordinary(path).read_bytes().rstrip(b"\r\n")
    with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(rows, [])]
        if b'"' in content:  # Arrow passes over quotes that are not closed, or that text follows
            collections.deque(rows, maxlen=0)
    if names and all(decimal(name) is not None for name in names):
        raise InputError(
            f"{path} begins with numbers ({shown(names[0])}, ...); expected the columns' names there: add them"
        )
    kept = _kept(path, names, columns, label)
    read = _texts(path, content, len(names), delimiter)
    _check_rows(path, read.num_rows)
    texts = {name: _present(path, name, read, names.index(name)) for name in kept}
    labels = texts.pop(label).to_pylist() if label else None
    return {name: _numbers(path, name, text) for name, text in texts.items()}, labels


def _texts(path: str, content: bytes, width: int, delimiter: str) -> Any:
    """Return a CSV's values as text, without its first row, in an Arrow table whose columns are called 0, 1, ..."""
    import pyarrow
    from pyarrow import csv as arrow

    def refuse(row: Any) -> str:
        wrong.append((row.number, row.actual_columns))
        return "skip"

    wrong: list[tuple[int, int]] = []
    names = [str(column) for column in range(width)]
    read = arrow.read_csv(
        pyarrow.BufferReader(content + b"\n"),
        # One block: rows have numbers then, and may be as long as they like.
        arrow.ReadOptions(
            use_threads=False,
            block_size=min(len(content) + 2, 2**31 - 1),
            column_names=names,
            skip_rows_after_names=1,
        ),
        arrow.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=refuse
        ),
        arrow.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False),
    )
    if wrong:
        raise _ragged(path, wrong[0][0] - 1, wrong[0][1], width)
    return read


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
    labels = table[label].cast("string").to_pylist() if label else None
    if labels and "" in labels:
        raise _missing(path, label, labels.index(""))
    read = {}
    for name in kept:
        if name != label:
            values = table[name].to_numpy()
            if values.dtype.kind not in "buif":
                raise _no_number(path, name, 0, table[name][0].as_py())
            read[name] = _finite(path, name, values)
    return read, labels


def _kept(path: str, names: Sequence[str], columns: Sequence[str], label: str) -> list[str]:
    kept, there = list(columns) if columns else [name for name in names if not label or name != label], Counter(names)
    if not kept:
        raise InputError(f"{path} has no columns to model; expected at least one of numbers: add some")
    for name in [*kept, *filter(None, [label])]:
        if name not in there:
            raise InputError(f"{path} has no column {name!r}; expected one of {', '.join(map(repr, names))}")
        if not name or there[name] > 1:
            raise InputError(
                f"{path} has {there[name]} columns named {name!r}; expected a name of its own for each: rename"
                " them, or leave an index out when you write the file"
            )
    return [*kept, *filter(None, [label])]


def _numbers(path: str, name: str, texts: Any) -> np.ndarray:
    """Return a column of Arrow's text as numbers, float32."""
    import pyarrow

    try:
        values = texts.cast("float64").to_numpy()
    except pyarrow.ArrowInvalid:  # which does not say where
        values = [decimal(text) for text in texts.to_pylist()]
        if None in values:
            row = values.index(None)
            raise _no_number(path, name, row, texts[row].as_py()) from None
        values = np.array(values)
    return _finite(path, name, values)


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


def _present(path: str, name: str, read: Any, column: int) -> Any:
    """Return a column of text, without what space is around it; raises `InputError` where there is nothing else."""
    from pyarrow import compute

    texts = compute.utf8_trim_whitespace(read[column])  # pyright: ignore[reportAttributeAccessIssue]
    row = compute.index(texts, "").as_py()
    if row < 0:
        return texts
    if not any(field[row].as_py() for field in read.columns):
        raise _ragged(path, row + 1, 0, read.num_columns)
    raise _missing(path, name, row)


def _ragged(path: str, row: int, found: int, width: int) -> InputError:
    return InputError(f"{path}: row {row} has {found} values; expected {width}, one for each name: correct it")


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
