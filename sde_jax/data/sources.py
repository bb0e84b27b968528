"""What a source of examples is: a length, and an example at every index.

An example is a mapping of exactly three arrays:

    data    of any rank from 1 on, the same shape throughout: whole numbers, the levels 0 .. levels - 1, as uint8 or
            int32, such as an image's [height, width, channels]; or real numbers, float32
    label   [] int32, the class, -1 where there is none
    index   [] int64, the example's index within its source
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.data.scaling import Scaling
from sde_jax.errors import InputError


class Source(Protocol):
    """Examples with random access. Reading must be safe from several threads at once."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray]:
        """The example at `index`: `data`, `label` and `index`; IndexError beyond the end."""
        ...


@dataclass(frozen=True)
class Splits:
    """A data set that is open for reading.

    `train` and `held_out` share no example; each is of `shape`. Whole numbers have `levels` levels; of real numbers,
    `levels` None, `scaling` says what x_0 is. `classes` names the labels 0, 1, ... where names are known. `left_out`
    tells of examples that could not be used and are in neither split, a line each.
    """

    train: Source
    held_out: Source
    shape: tuple[int, ...]
    levels: int | None
    scaling: Scaling = field(default_factory=Scaling)
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Dataset(Protocol):
    """A data set as a value of a run's config: a frozen dataclass of plain, JSON-able fields."""

    def open(self) -> Splits:
        """Check the data and open them for reading. Raises InputError where they cannot be used."""
        ...


class Arrays:
    """A source held in memory.

    data: [n, ...] uint8, int32 or float32, of rank 2 at least; labels: [n] integers, or None for -1 throughout. Both
    are copied. Raises InputError if the shapes or the types are others, or a number is not finite.
    """

    def __init__(self, data: ArrayLike, labels: ArrayLike | None = None):
        data = np.array(data)
        if data.ndim < 2 or data.dtype not in (np.uint8, np.int32, np.float32):
            raise InputError(
                f"data are {data.dtype} of shape {data.shape}; expected uint8, int32 or float32 of shape [n, ...]:"
                " convert them"
            )
        wild = np.argwhere(~np.isfinite(data))
        if len(wild):
            raise InputError(f"data hold {data[tuple(wild[0])]} in example {wild[0][0]}; expected finite numbers")
        labels = np.full(len(data), -1, np.int32) if labels is None else np.array(labels)
        if labels.shape != data.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(
                f"labels are {labels.dtype} of shape {labels.shape}; expected integers of shape"
                f" {data.shape[:1]}, one for each example"
            )
        self._data, self._labels = data, labels.astype(np.int32)
        # An example is a view; a consumer that wrote to one would change the data for every epoch to come.
        self._data.setflags(write=False)

    @property
    def labels(self) -> np.ndarray:
        """The labels of all examples, [n] int32, -1 for none."""
        return self._labels

    def __len__(self) -> int:
        """The number of examples."""
        return len(self._data)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`; its data are a read-only view."""
        index = range(len(self))[index]
        return example(self._data[index], self._labels[index], index)


def example(data: np.ndarray, label: ArrayLike, index: int) -> dict[str, np.ndarray]:
    """The mapping that every source returns: `data` as given, `label` [] int32, `index` [] int64."""
    return {"data": data, "label": np.asarray(label, np.int32), "index": np.asarray(index, np.int64)}
