"""Examples in array_record files: records of one size, each with a hash of its own, read at random.

A record is the label, int32, little-endian, and then the data in C order, little-endian.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.data.sources import Source, example
from sde_jax.errors import InputError, RunError

# Groups of one record: a record is read without its neighbours, 26,000 of 3 KiB a second.
_WRITTEN = "group_size:1,zstd:1"
_READ = "readahead_buffer_size:0,max_parallelism:0"
_LABEL = np.dtype("<i4")


def write_shard(path: Path, source: Source, indices: Iterable[int], shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write the examples of `source` at `indices`, data of `shape` and `dtype`, in this order, down to the disk.

    Raises InputError where an example is of another shape or type, and what the source raises; RunError where the disk
    takes no more.
    """
    writer = _module().ArrayRecordWriter(str(path), _WRITTEN)
    try:
        for index in indices:
            writer.write(_record(source[index], shape, dtype))
        writer.close()
    except RuntimeError as error:
        raise RunError(
            f"{path} cannot be written ({_reason(error)}); make room on the disk and run it again"
        ) from error
    finally:
        if writer.is_open():
            writer.close()
    with open(path, "rb") as file:
        os.fsync(file.fileno())


class Shard:
    """A file of `count` examples of `shape` and `dtype`, opened when the first is read; safe for several threads."""

    def __init__(self, path: Path, count: int, shape: tuple[int, ...], dtype: np.dtype):
        self.path, self._count, self._shape, self._dtype = path, count, shape, dtype
        self._size = _LABEL.itemsize + dtype.itemsize * int(np.prod(shape))
        self._lock, self._reader = threading.Lock(), None

    def read(self, row: int, index: int) -> dict[str, np.ndarray]:
        """The example in `row`, under `index`. Raises InputError, naming the file, where it is damaged."""
        try:
            (record,) = self._opened().read([row])
        except InputError:
            raise
        except Exception as error:
            raise _damaged(self.path, _reason(error)) from error
        if len(record) != self._size:
            raise _damaged(self.path, f"record {row} has {len(record)} bytes; expected {self._size}")
        label = np.frombuffer(record, _LABEL, 1)[0]
        values = np.frombuffer(record, self._dtype, offset=_LABEL.itemsize).reshape(self._shape)
        return example(values, label, index)

    def _opened(self) -> Any:
        if self._reader is None:
            with self._lock:
                if self._reader is None:
                    reader = _module().ArrayRecordReader(str(self.path), _READ)
                    # A file that is cut off or no array_record at all counts no records and raises nothing.
                    if reader.num_records() != self._count:
                        found = f"it holds {reader.num_records()} examples; expected {self._count}"
                        raise _damaged(self.path, found)
                    self._reader = reader
        return self._reader


def _record(given: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    values = given["data"]
    if values.shape != shape or values.dtype != dtype.newbyteorder("="):
        raise InputError(
            f"example {given['index']} is {values.dtype} of shape {values.shape}; expected {dtype.name} of shape"
            f" {shape} as the first: correct the source"
        )
    return given["label"].astype(_LABEL).tobytes() + values.astype(dtype, copy=False).tobytes()


def _module():
    # Only here, since the readers of a config need not have it.
    from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

    return array_record_module


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _damaged(path: Path, found: str) -> InputError:
    return InputError(f"{path} is damaged ({found}); run `sde-jax data prepare` again, which replaces what is damaged")
