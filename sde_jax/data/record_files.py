"""Files of records, each any bytes, read at random: TFRecord and array_record, both without TensorFlow."""

import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sde_jax.data.crc32c import crc32c
from sde_jax.errors import InputError
from sde_jax.placing import ordinary

_LENGTH = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


class Records(Protocol):
    """Records by number; reading is safe from several threads at once."""

    def __len__(self) -> int:
        """The number of records."""
        ...

    def __getitem__(self, index: int) -> bytes:
        """The record at `index`, from 0 on."""
        ...


class TFRecordFile:
    """The records of one TFRecord file, mapped into memory.

    A record is its length (8 bytes), the masked CRC-32C of these, its bytes, and the masked CRC-32C of those, all
    little-endian. Opening goes from length to length, and checks that the last record ends with the file; reading one
    checks its bytes. Raises InputError, naming the file and the record, where that is not so. Compressed files are
    refused.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            with open(ordinary(path), "rb") as file:
                self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}); expected a TFRecord file: check the path") from error
        self._starts, self._ends = self._index()

    def __len__(self) -> int:
        """The number of records."""
        return len(self._starts)

    def __getitem__(self, index: int) -> bytes:
        """The record at `index`."""
        start, end = int(self._starts[index]), int(self._ends[index])
        record = self._content[start:end]
        if masked(crc32c(record)) != _CHECKSUM.unpack_from(self._content, end)[0]:
            raise self._damaged(index, "its checksum is wrong")
        return record

    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        starts, lengths, place = [], [], 0
        while place < len(self._content):
            if place + _LENGTH.size > len(self._content):
                raise self._damaged(len(starts), "the file ends within it")
            length, checksum = _LENGTH.unpack_from(self._content, place)
            if masked(crc32c(self._content[place : place + 8])) != checksum:
                raise self._damaged(len(starts), "the checksum of its length is wrong")
            starts.append(place + _LENGTH.size)
            lengths.append(length)
            place += _LENGTH.size + length + _CHECKSUM.size
            if place > len(self._content):
                raise self._damaged(len(starts) - 1, "the file ends within it")
        return np.array(starts), np.array(starts) + np.array(lengths)

    def _damaged(self, record: int, reason: str) -> InputError:
        return InputError(
            f"{self._path}: record {record} cannot be read ({reason}); expected TFRecords, not compressed: copy or"
            " prepare the file again"
        )


class ArrayRecordFiles:
    """The records of several array_record files, one file after the other; raises InputError where one is damaged."""

    def __init__(self, paths: Sequence[Path]):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._folder = paths[0].parent
        try:
            self._source = ArrayRecordDataSource([str(path) for path in paths])
            self._count = len(self._source)
        except Exception as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        """The number of records."""
        return self._count

    def __getitem__(self, index: int) -> bytes:
        """The record at `index`."""
        try:
            return self._source[index]
        except Exception as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return InputError(f"{self._folder}: its array_record files cannot be read ({reason}); prepare them again")


class Concatenated:
    """The records of several files, one file after the other."""

    def __init__(self, files: Sequence[Records]):
        self._files, self._ends = files, np.cumsum([len(file) for file in files])

    def __len__(self) -> int:
        """The number of records."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> bytes:
        """The record at `index`."""
        file = int(np.searchsorted(self._ends, index, side="right"))
        return self._files[file][index - int(self._ends[file - 1]) if file else index]


def masked(checksum: int) -> int:
    """A checksum as TFRecord files hold it: rotated right by 15 bits, plus a constant, modulo 2^32."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def features(record: bytes, names: Sequence[str], where: str) -> list[list[Any]]:
    """The values of some features in a serialised `tf.train.Example`; raises InputError where it lacks one."""
    from tensorflow_datasets.proto import tf_example_pb2

    messages: Any = tf_example_pb2
    try:
        found = messages.Example.FromString(record).features.feature
    except Exception as error:
        raise InputError(f"{where} is no tf.train.Example ({error}); expected one in every record") from error
    for name in names:
        if name not in found:
            there = ", ".join(sorted(found)) or "none"
            raise InputError(f"{where} has no feature {name!r}; expected {', '.join(names)}: it has {there}")
    kinds = {name: found[name].WhichOneof("kind") for name in names}
    return [list(getattr(found[name], kind).value) if kind else [] for name, kind in kinds.items()]
