"""Sources over the rows of an array, and which rows are held out."""

from collections.abc import Iterator

import numpy as np

from sde_jax.data.scaling import Scaling
from sde_jax.data.sources import example
from sde_jax.errors import InputError, whole

_NUMBERS_AT_ONCE = 2**22


class Rows:
    """A source of the rows numbered `rows` of `data` [n, ...], which may be mapped into memory; `labels` [n] int32.

    A row is copied, and cast to `dtype`, when it is asked for.
    """

    def __init__(self, data: np.ndarray, rows: np.ndarray, labels: np.ndarray, dtype: type[np.generic]):
        self._data, self._rows, self._labels, self._dtype = data, rows, labels, dtype

    @property
    def labels(self) -> np.ndarray:
        """The labels of the rows, [k] int32, -1 for none."""
        return self._labels[self._rows]

    def __len__(self) -> int:
        """The number of examples."""
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`."""
        index = range(len(self))[index]
        row = self._rows[index]
        return example(np.array(self._data[row], self._dtype), self._labels[row], index)


def split(count: int, held_out: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows to train on and of those to hold out, each in ascending order.

    The last `held_out` of `numpy.random.RandomState(0).permutation(count)` are held out, as rows of a file are often
    sorted. Raises `InputError` unless at least one row is left.
    """
    if held_out >= count:
        raise InputError(
            f"{where} has {count} examples; expected more than held_out = {held_out}: lower it or add examples"
        )
    # RandomState, because numpy froze its numbers for good; those of Generator may change.
    order = np.random.RandomState(0).permutation(count)
    return np.sort(order[: count - held_out]), np.sort(order[count - held_out :])


def check_held_out(held_out: int) -> None:
    """Raise `InputError` unless it is a number of examples."""
    if not whole(held_out, 0):
        raise InputError(f"held_out = {held_out}; expected a number of examples, 0 or more")


def check_finite(data: np.ndarray, where: str) -> None:
    """Raise `InputError`, naming the first place, where data [n, ...] hold NaN, infinity or what float32 cannot."""
    for start, block in _blocks(data):
        with np.errstate(over="ignore"):
            finite = np.isfinite(block.astype(np.float32))
        if not finite.all():
            place = tuple(int(axis[0]) for axis in np.nonzero(~finite))
            raise InputError(
                f"{where} holds {block[place]} in example {start + place[0]} at {place[1:]}; expected finite numbers"
                " of at most 3e38: replace it, or leave the example out"
            )


def check_levels(data: np.ndarray, levels: int, where: str) -> None:
    """Raise `InputError`, naming the first place, unless whole numbers [n, ...] lie from 0 to levels - 1."""
    for start, block in _blocks(data):
        outside = (block < 0) | (block >= levels)
        if outside.any():
            place = tuple(int(axis[0]) for axis in np.nonzero(outside))
            raise InputError(
                f"{where} holds {block[place]} in example {start + place[0]} at {place[1:]}; expected whole numbers"
                f" from 0 to levels - 1 = {levels - 1}: shift the data or set levels"
            )


def standardisation(data: np.ndarray, rows: np.ndarray, where: str, *, per_feature: bool = True) -> Scaling:
    """Return the `Scaling` by which rows of data [n, ..., k] have mean 0 and deviation 1.

    Along each of the k, or, not `per_feature`, all numbers together. Sums are float64, of blocks that are combined by
    Chan, Golub & LeVeque's formula, so that data larger than memory are read once. Raises `InputError` for numbers that
    are all the same.
    """
    size, mean, square = 0, np.zeros(1), np.zeros(1)
    for _, block in _blocks(data, rows):
        values = block.astype(np.float64).reshape(-1, block.shape[-1] if per_feature else 1)
        shift = values.mean(0) - mean
        share = len(values) / (size + len(values))
        square = square + ((values - values.mean(0)) ** 2).sum(0) + shift**2 * share * size
        mean, size = mean + shift * share, size + len(values)
    deviation = np.sqrt(square / size)
    # Rounding leaves a deviation to numbers that are all the same.
    constant = np.flatnonzero(deviation <= 1e-12 * np.abs(mean))
    if len(constant):
        entry = f"entry {constant[0]} of the last axis" if per_feature else "every number"
        raise InputError(
            f"{where}: {entry} is {mean[constant[0]]:g} in all examples of the training split; expected numbers that"
            " differ: leave it out, or set per_feature to false if others do"
        )
    return Scaling(tuple(mean.tolist()), tuple(deviation.tolist()))


def _blocks(data: np.ndarray, rows: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray]]:
    size = max(1, _NUMBERS_AT_ONCE // max(1, int(np.prod(data.shape[1:]))))
    count = len(data) if rows is None else len(rows)
    for start in range(0, count, size):
        yield start, data[start : start + size] if rows is None else data[rows[start : start + size]]
