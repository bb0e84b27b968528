"""A file of arrays."""

from dataclasses import dataclass

import numpy as np

from sde_jax.data.array_reading import ArrayReader
from sde_jax.data.axes import channels_last, check_axes
from sde_jax.data.rows import Rows, check_finite, check_held_out, check_levels, split, standardisation
from sde_jax.data.scaling import Scaling
from sde_jax.data.sources import Splits
from sde_jax.errors import InputError, shown, whole


@dataclass(frozen=True)
class ArrayFile:
    """The array [n, ...] of rank 2 or more in a .npy or .npz file: n examples of any shape, channels last.

    Whole numbers are levels 0 .. `levels` - 1: by default 256 of uint8 and 2 of truth values; for other types they must
    be stated. Real numbers are data in float32, and x_0 is standardised by the training split: along the last axis each
    entry for itself (channels, columns), or all numbers alike without `per_feature`.

    path: the file; a .npy is mapped into memory, not loaded. key: the array's name in a .npz, where it holds several.
    labels_key: the name of labels [n], whole numbers from -1 (none) on. held_out: so many examples are held out, chosen
    as `rows.split` does; held_out_key, held_out_labels_key: or held out are those of another array, such as x_test. In
    place of a key each may be the path of a .npy. axes: what the axes of an example are, a letter each: "hwc" is
    height, width and channels, "chw" has the channels first, which are then put last, and "hw" has none, so that an
    axis of one is added; "" where sizes tell. See axes.py.
    """

    path: str
    key: str = ""
    labels_key: str = ""
    held_out: int = 0
    held_out_key: str = ""
    held_out_labels_key: str = ""
    levels: int | None = None
    per_feature: bool = True
    axes: str = ""

    def __post_init__(self):
        check_held_out(self.held_out)
        check_axes(self.axes)
        if self.levels is not None and not whole(self.levels, 2, 2**31 - 1):
            raise InputError(f"levels = {self.levels}; expected at least 2, or None for those of the array's type")
        if self.held_out and self.held_out_key:
            raise InputError(
                f"held_out = {self.held_out} and held_out_key = {self.held_out_key!r}; expected one of them"
            )
        if self.held_out_labels_key and not self.held_out_key:
            raise InputError("held_out_labels_key without held_out_key; expected both or none")

    def open(self) -> Splits:
        """`train` and `held_out`, read from the file when they are asked for.

        Opening reads every number once. Raises InputError, naming the file, for: one that is missing, damaged or holds
        Python objects, which are not unpickled; an array that is missing or of another rank; NaN, infinity or a level
        out of range, naming the first; real numbers that are all the same; labels that are none or too few; axes that
        are not stated, where channels seem to be first or may be.
        """
        reader = ArrayReader(self.path)
        key = self.key or self._only_key(reader)
        data = self._laid_out(reader, key)
        labels = reader.labels(self.labels_key, len(data))
        levels = self._levels(data.dtype, reader.where(key))
        train, rows = split(len(data), self.held_out, reader.where(key))
        _check(data, levels, reader.where(key))
        scaling = Scaling() if levels else standardisation(data, train, reader.where(key), per_feature=self.per_feature)
        dtype = np.float32 if levels is None else np.uint8 if levels <= 256 else np.int32
        held_out = Rows(data, rows, labels, dtype)
        if self.held_out_key:
            other = self._laid_out(reader, self.held_out_key)
            _check_like(other, data, reader.where(self.held_out_key))
            _check(other, levels, reader.where(self.held_out_key))
            labels_there = reader.labels(self.held_out_labels_key, len(other))
            held_out = Rows(other, np.arange(len(other)), labels_there, dtype)
        return Splits(Rows(data, train, labels, dtype), held_out, data.shape[1:], levels, scaling)

    def _laid_out(self, reader: ArrayReader, key: str) -> np.ndarray:
        return channels_last(reader.data(key), self.axes, reader.where(key), per_feature=self.per_feature)

    def _only_key(self, reader: ArrayReader) -> str:
        others = {self.labels_key, self.held_out_key, self.held_out_labels_key} - {""}
        names = [name for name in reader.names if name not in others]
        if len(names) != 1:
            raise InputError(
                f"{self.path} holds the arrays {', '.join(map(shown, reader.names))}; expected key to be one of them"
            )
        return names[0]

    def _levels(self, dtype: np.dtype, where: str) -> int | None:
        if dtype.kind == "f" and self.levels is not None:
            raise InputError(
                f"{where} is {dtype} and levels = {self.levels}; expected whole numbers where there are levels: convert"
                " the array, or leave levels out"
            )
        levels = self.levels or {"u1": 256, "b1": 2}.get(dtype.str[1:])
        if levels is None and dtype.kind != "f":
            raise InputError(
                f"{where} is {dtype}; expected levels to be stated for whole numbers other than uint8: set levels, or"
                " convert the array to float32 if these are real numbers"
            )
        return levels


def _check(data: np.ndarray, levels: int | None, where: str) -> None:
    if levels is None:
        check_finite(data, where)
    else:
        check_levels(data, levels, where)


def _check_like(other: np.ndarray, data: np.ndarray, where: str) -> None:
    if (other.shape[1:], other.dtype.kind) != (data.shape[1:], data.dtype.kind):
        raise InputError(
            f"{where} is {other.dtype} with examples of shape {other.shape[1:]}; expected {data.dtype} and"
            f" {data.shape[1:]}, as those to train on: convert it"
        )
