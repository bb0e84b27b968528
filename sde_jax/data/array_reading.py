"""Arrays by name, from a .npz or a .npy of NumPy's; nothing in such a file is executed."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from sde_jax.archives import opened_npz
from sde_jax.errors import InputError, shown
from sde_jax.placing import ordinary


class ArrayReader:
    """The arrays of one file: those of a .npz by their keys, that of a .npy under the name "".

    A name that ends in .npy is the path of another file. A .npy is mapped into memory. Raises InputError, naming the
    file, where it is missing, damaged or holds Python objects.
    """

    def __init__(self, path: str):
        self._path = path
        with _opened(path) as content:
            self.names = tuple(content)
            """The keys of a .npz, or ("",)."""

    def where(self, name: str) -> str:
        """The file and the array, for a message."""
        return name if name.endswith(".npy") else f"{self._path}: {name!r}" if name else self._path

    def data(self, name: str) -> np.ndarray:
        """The array [n, ...] of real or whole numbers, of rank 2 or more, none of whose sizes is 0."""
        data = self._array(name)
        if data.ndim < 2 or 0 in data.shape or data.dtype.kind not in "buif":
            raise InputError(
                f"{self.where(name)} is {data.dtype} of shape {data.shape}; expected real or whole numbers of shape"
                " [n, ...], of rank 2 or more and none of its sizes 0: reshape or convert it"
            )
        return data

    def labels(self, name: str, count: int) -> np.ndarray:
        """The labels [count] int32 under a name, from -1 on; a column [count, 1] serves too. -1 throughout for ""."""
        if not name:
            return np.full(count, -1, np.int32)
        labels = self._array(name)
        labels = labels[:, 0] if labels.shape == (count, 1) else labels
        if labels.shape != (count,) or labels.dtype.kind not in "bui":
            raise InputError(
                f"{self.where(name)} is {labels.dtype} of shape {labels.shape}; expected whole numbers of shape"
                f" ({count},), a label for each example: correct it"
            )
        if labels.min() < -1 or labels.max() >= 2**31:
            raise InputError(
                f"{self.where(name)} holds labels from {labels.min()} to {labels.max()}; expected 0, 1, ..., and -1"
                " where there is none: correct it"
            )
        return labels.astype(np.int32)

    def _array(self, name: str) -> np.ndarray:
        if name.endswith(".npy"):
            return ArrayReader(name)._array("")
        if name not in self.names:
            found = ", ".join(filter(None, self.names)) or "one array without a name (.npy)"
            raise InputError(f"{self._path} holds no array {name!r}; expected one of those it holds: {found}")
        with _opened(self._path) as content:
            array = content[name]
        if not isinstance(array, np.ndarray):
            raise InputError(f"{self.where(name)} is no array; expected one that numpy.save wrote: choose another")
        return array


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Mapping[str, Any]]:
    # NumPy, zipfile and zlib fail on damaged input with many types of exceptions. A pickle is refused by NumPy, without
    # a byte of it being run.
    try:
        with open(ordinary(path), "rb") as file:
            if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                yield {"": np.load(path, mmap_mode="r", allow_pickle=False)}
            else:
                file.seek(0)
                with opened_npz(file) as content:
                    yield content
    except Exception as error:
        reason = shown(error) or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason}); expected arrays of numbers in a .npy or .npz file: check the path, or"
            " write it again by numpy.save or numpy.savez"
        ) from error
