"""Files by name, in a folder or in a zip: the same names and the same bytes from both.

A name is a path relative to the folder or to the archive's root, with `/` between its parts. Hidden files
(a part that starts with `.`, or `__MACOSX`) are left out. What is wrong with the container or with a name is
found on opening, and raises InputError that names the file.
"""

import os
import re
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sde_jax.errors import InputError

LARGEST_BYTES = 256 * 2**20
"""No file may be larger, packed or unpacked: an archive that declares more is damaged or hostile."""


class Files(Protocol):
    """Files that can be read by name, from several threads at once."""

    location: Path
    names: tuple[str, ...]
    """Every name, sorted as text."""

    def read(self, name: str, limit: int = -1) -> bytes:
        """The content of a file, or its first `limit` bytes."""
        ...


def open_files(path: str) -> Files:
    """The files in the folder or in the zip at `path`: names and sizes checked, no content read."""
    if not path:
        raise InputError("no path to the images; expected a folder or a zip of images: set the data's path")
    try:
        location = Path(path).expanduser()
        if location.is_dir():
            return Folder(location)
        if location.is_file():
            return Zip(location)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read ({error}); check the path and its permissions") from error
    raise InputError(f"{location} is no folder and no file; expected a folder or a zip of images: check the path")


class Folder:
    """The files below a folder, links followed."""

    def __init__(self, location: Path):
        self.location = location
        names = []
        for name in _walk(location):
            if _is_hidden(_checked(location, name)):
                continue
            found = os.stat(location / name)
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{location}: {name!r} is not an ordinary file; remove it")
            _check_bytes(location, name, found.st_size)
            names.append(name)
        self.names = tuple(sorted(names))

    def read(self, name: str, limit: int = -1) -> bytes:
        """The content of a file, or its first `limit` bytes."""
        with open(self.location / name, "rb") as file:
            return file.read(limit)


class Zip:
    """The files in a zip archive, stored or deflated; reading a file to its end verifies its CRC."""

    def __init__(self, location: Path):
        self.location = location
        self._lock = threading.Lock()
        try:
            self._archive = zipfile.ZipFile(location)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise InputError(
                f"{location} is not a zip that can be read ({error}); expected a folder or a zip of"
                " images: copy or pack it again"
            ) from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        seen = set()
        for entry in self._archive.infolist():
            # orig_filename is what the archive says, before zipfile cuts it at a null byte.
            name = _checked(location, entry.orig_filename.removesuffix("/"))
            if name in seen:
                raise InputError(f"{location} holds {name!r} twice; pack it again")
            seen.add(name)
            if not entry.is_dir() and not _is_hidden(name):
                _check_entry(location, name, entry)
                self._entries[name] = entry
        self.names = tuple(sorted(self._entries))

    def read(self, name: str, limit: int = -1) -> bytes:
        """The content of a file, or its first `limit` bytes."""
        # One handle and a lock: a handle for each thread would parse the directory of the archive again.
        with self._lock, self._archive.open(self._entries[name]) as file:
            return file.read(limit)


def _walk(location: Path) -> Iterator[str]:
    def fail(error: OSError):
        raise error

    visited = set()
    for folder, _, files in os.walk(location, followlinks=True, onerror=fail):
        real = os.path.realpath(folder)
        if real in visited:
            raise InputError(f"{location}: links lead to {folder!r} more than once; remove the link")
        visited.add(real)
        relative = os.path.relpath(folder, location)
        for file in files:
            yield (file if relative == os.curdir else os.path.join(relative, file)).replace(os.sep, "/")


def _checked(location: Path, name: str) -> str:
    strange = "\\" in name or "\0" in name or re.match("[A-Za-z]:", name)
    if strange or any(part in ("", ".", "..") for part in name.split("/")):
        raise InputError(
            f"{location} holds the name {name!r}; expected a relative path with '/' between its parts and"
            " without '..': rename it"
        )
    return name


def _check_entry(location: Path, name: str, entry: zipfile.ZipInfo) -> None:
    _check_bytes(location, name, entry.file_size)
    if entry.flag_bits & 1:
        raise InputError(f"{location}: {name!r} is encrypted; pack it again without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            f"{location}: {name!r} is compressed by method {entry.compress_type}; expected stored or"
            " deflated: pack it again"
        )


def _check_bytes(location: Path, name: str, size: int) -> None:
    if size > LARGEST_BYTES:
        raise InputError(
            f"{location}: {name!r} has {size} bytes; expected at most {LARGEST_BYTES}: remove it or shrink it"
        )


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
