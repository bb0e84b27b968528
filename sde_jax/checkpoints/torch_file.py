"""Files of torch.save, read without PyTorch.

Since PyTorch 1.6 such a file is a zip of uncompressed members, `NAME/data.pkl` (a pickle) and `NAME/data/0`, `1`, ...
(the storages, which the pickle refers to by persistent ids). Before, it was five pickles in a row, of which the fourth
is the value and the fifth lists the storages that follow it. The pickles are not executed (`pickles`).
"""

import io
import mmap
import os
import struct
import zipfile
import zlib
from typing import Any, BinaryIO, cast

import numpy as np

from sde_jax.checkpoints.contents import contents_of
from sde_jax.checkpoints.pickles import Vocabulary, read_pickle, shown
from sde_jax.checkpoints.torch_values import NAMES, StorageKind, require_no_state
from sde_jax.errors import InputError, whole

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""A file before PyTorch 1.6 begins with the pickle of the number 0x1950a86a20f9469cfc6c."""


def read_torch(path: str | os.PathLike[str]) -> Any:
    """Return what `torch.save` wrote to a file: dicts, lists, tuples, numbers and text, with arrays for tensors.

    OrderedDicts become dicts; tensors of one storage are views of one memory, read-only where the file is a zip.
    Raises `InputError` if the file is damaged, is no PyTorch file, or names anything but tensors and plain values.
    """
    content = contents_of(path)
    try:
        if content[: len(ZIP)] == ZIP:
            return _from_zip(content)
        if content[: len(LEGACY)] == LEGACY:
            return _from_stream(content)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:
        raise InputError(f"{path} is damaged ({_one_line(error)}); copy or download it again") from error
    raise InputError(f"{path} is no PyTorch file; expected one of torch.save: save it again with a current PyTorch")


def _from_zip(content: mmap.mmap) -> Any:
    members, root = _members(content)
    order = bytes(_member(content, members[f"{root}byteorder"])) if f"{root}byteorder" in members else b"little"
    if order not in (b"little", b"big"):
        raise InputError(f"has the byte order {order!r:.20}; expected little or big")
    storages: dict[tuple[str, np.dtype], np.ndarray] = {}

    def stored(identity: Any) -> np.ndarray:
        key, kind, count = _storage_of(identity)
        if (key, kind) not in storages:
            if f"{root}data/{key}" not in members:
                raise InputError(f"has no storage {shown(key)}; copy or download it again")
            data = _member(content, members[f"{root}data/{key}"])
            if len(data) != count * kind.itemsize:
                raise InputError(
                    f"has {len(data)} bytes in storage {shown(key)}, {count * kind.itemsize} expected: refused"
                )
            storages[key, kind] = _numbers(data, kind, order == b"big")
        return storages[key, kind]

    return read_pickle(io.BytesIO(_member(content, members[f"{root}data.pkl"])), _vocabulary(stored))


def _members(content: mmap.mmap) -> tuple[dict[str, zipfile.ZipInfo], str]:
    """Return the members of the zip, and the folder in it that all of PyTorch's are in."""
    members = {}
    for member in zipfile.ZipFile(cast(BinaryIO, content)).infolist():
        if member.filename in members:
            raise InputError(f"holds {shown(member.filename)} twice: refused")
        members[member.filename] = member
    if sum(member.file_size for member in members.values()) > len(content):
        raise InputError("announces more bytes than the file has; copy or download it again")
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise InputError("is a zip without a PyTorch pickle (NAME/data.pkl); expected a file of torch.save")
    return members, roots[0]


def _from_stream(content: mmap.mmap) -> Any:
    stream = cast(BinaryIO, content)
    storages: dict[str, np.ndarray] = {}
    free = len(content)

    def stored(identity: Any) -> np.ndarray:
        nonlocal free
        key, kind, count = _storage_of(identity)
        if key not in storages:
            free -= count * kind.itemsize
            if free < 0:
                raise InputError("announces more bytes than the file has; copy or download it again")
            storages[key] = np.zeros(count, kind)
        if (storages[key].dtype, storages[key].size) != (kind, count):
            raise InputError(f"announces storage {shown(key)} as two different ones: refused")
        return storages[key]

    _, protocol, _, value, keys = (read_pickle(stream, _vocabulary(stored)) for _ in range(5))
    if protocol != 1001:
        raise InputError("is not of PyTorch's protocol 1001: save it again with a current PyTorch")
    if sorted(keys) != sorted(storages):
        raise InputError("lists other storages than it uses; copy or download it again")
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storages[key].size:
            raise InputError(f"has another size of storage {shown(key)} than announced; copy or download it again")
        storages[key][:] = np.frombuffer(content, storages[key].dtype, count, stream.tell())
        stream.seek(storages[key].nbytes, io.SEEK_CUR)
    return value


def _vocabulary(stored: Any) -> Vocabulary:
    return Vocabulary(NAMES, stored, require_no_state)


def _storage_of(identity: Any) -> tuple[str, np.dtype, int]:
    """Return (key, type, count) of the persistent id ("storage", type, key, device, count)."""
    if isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage":
        _, kind, key, _, count, *view = identity
        if isinstance(kind, StorageKind) and isinstance(key, str) and whole(count, 0, 2**48) and view in ([], [None]):
            return key, kind.dtype, int(count)
    raise InputError("refers to something that is no storage of a tensor: refused")


def _member(content: mmap.mmap, member: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of an uncompressed member, compared with their checksum."""
    name, size = shown(member.filename), member.file_size
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise InputError(f"has {name} compressed or encrypted, which torch.save never does: save it again")
    header = content[member.header_offset : member.header_offset + 30]
    magic, name_length, extra_length = struct.unpack("<4s22xHH", header)
    start = member.header_offset + len(header) + name_length + extra_length
    data = memoryview(content)[start : start + size]
    if magic != ZIP or len(data) != size or zlib.crc32(data) != member.CRC:
        raise InputError(f"is damaged: {name} is not as it was saved; copy or download it again")
    return data


def _numbers(data: memoryview, kind: np.dtype, big_endian: bool) -> np.ndarray:
    if big_endian:
        width = kind.itemsize // (2 if kind.kind == "c" else 1)
        data = memoryview(np.frombuffer(data, np.uint8).reshape(-1, width)[:, ::-1].tobytes())
    return np.ndarray(len(data) // kind.itemsize, kind, data)


def _one_line(error: Exception) -> str:
    return " ".join(ascii(str(error)).strip("'\"").split())[:120] or type(error).__name__
