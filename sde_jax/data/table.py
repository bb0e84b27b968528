"""Tables: rows of real numbers, with a class perhaps."""

from dataclasses import dataclass

import numpy as np

from sde_jax.data.class_names import in_natural_order
from sde_jax.data.rows import Rows, check_held_out, split, standardisation
from sde_jax.data.sources import Splits
from sde_jax.data.table_reading import read_columns
from sde_jax.errors import InputError


@dataclass(frozen=True)
class Table:
    """Columns of numbers in a CSV or Parquet file (by its suffix): an example is a row of them, [k] float32.

    Numbers are real, whole ones too, and x_0 is standardised by the rows to train on, each column for itself.

    path: the file. A CSV is UTF-8, separates by `delimiter`, and has the names of its columns in its first line; its
    numbers are in decimal notation, as -1.5e3, and its quotes as in RFC 4180.
    columns: those to model, in this order; by default all but `label`. label: the column of classes, text or numbers,
    which are numbered in natural order; by default there is none. held_out: so many rows are held out, chosen as
    `rows.split` does.
    """

    path: str
    columns: tuple[str, ...] = ()
    label: str = ""
    held_out: int = 0
    delimiter: str = ","

    def __post_init__(self):
        check_held_out(self.held_out)
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"' or not self.delimiter.isascii():
            raise InputError(f"delimiter = {self.delimiter!r}; expected one ASCII character that separates columns")
        if len(set(self.columns)) < len(self.columns) or self.label in filter(None, self.columns):
            raise InputError(f"columns = {self.columns} and label = {self.label!r}; expected each column once")

    def open(self) -> Splits:
        """`train` and `held_out`, in memory; `classes` are the label's values as text.

        Raises InputError, naming the column and the row, for: a file that is missing or damaged; a column that is
        missing, or whose name occurs twice; a value that is missing, no number or not finite; a row of another length;
        a column whose values to train on are all the same. Rows are counted from 1, without the line of names.
        """
        numbers, label = read_columns(self.path, self.columns, self.label, self.delimiter)
        data = np.stack(list(numbers.values()), -1)
        labels, classes = (np.full(len(data), -1, np.int32), ()) if label is None else _classes(label)
        train, held_out = split(len(data), self.held_out, self.path)
        _check_columns_vary(self.path, numbers, train)
        scaling = standardisation(data, train, self.path)
        splits = (Rows(data, rows, labels, np.float32) for rows in (train, held_out))
        return Splits(*splits, shape=data.shape[1:], levels=None, scaling=scaling, classes=classes)


def _check_columns_vary(path: str, numbers: dict[str, np.ndarray], rows: np.ndarray) -> None:
    for name, values in numbers.items():
        if (values[rows] == values[rows[0]]).all():
            raise InputError(
                f"{path}: column {name!r} is {values[rows[0]]:g} in every row to train on, and cannot be standardised;"
                " expected values that differ: leave it out of columns"
            )


def _classes(values: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    classes = in_natural_order(values)
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[value] for value in values], np.int32), classes
