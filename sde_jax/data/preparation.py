"""From any source to prepared data: shard by shard, so that what is interrupted goes on where it was."""

import fcntl
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from sde_jax.data.prepared_manifest import MANIFEST, DType, Manifest, Part, read_manifest, sha256
from sde_jax.data.shards import Shard, write_shard
from sde_jax.data.sources import Source, Splits
from sde_jax.errors import InputError

SHARD_BYTES = 128 * 2**20
"""About how large a shard is, where their number is not asked for: some seconds of work."""

# Decoding a small image mostly holds the interpreter's lock: two threads read fewer 32x32 images than one.
_THREADS_FROM_BYTES = 32 * 2**10
_LOCK = ".lock"


def prepare(
    splits: Splits,
    source: Mapping[str, Any],
    folder: Path,
    shards: int | None = None,
    kept: Callable[[int], None] = lambda examples: None,
    written: Callable[[int], None] = lambda examples: None,
) -> Manifest:
    """Write a data set as array_record files and a manifest, and return the manifest, which is then complete.

    source: what tells this source from others, as JSON-able data. shards: how many of `train`, by default of
    `SHARD_BYTES` each; those of `held_out` are as large. A shard has its name once it is whole, and the manifest
    names it then. Where the same preparation was begun in the folder, shards whose checksum is right, and whose
    first and last examples are the source's, are kept. kept, written: told how many examples are, from any thread.

    Raises InputError where the folder holds something else or the preparation of another source, is in use, or
    cannot be written; RunError where the disk takes no more; and what reading the source raises.
    """
    by_name = {"train": splits.train, "held_out": splits.held_out}
    with _held(folder):
        existing = _existing(folder)
        plan = _plan(splits, source, shards, existing)
        missing = []
        for split, shard, rows in plan.shards():
            part = existing.parts[split][shard] if existing is not None else None
            if part is not None and _is_sound(folder, part) and _agrees(folder, part, plan, by_name[split], rows):
                plan = plan.with_part(split, shard, part)
                kept(len(rows))
            else:
                missing.append((split, shard, rows))
        if plan != existing:
            plan.write(folder)
        writer = _Writer(folder, plan, by_name, written)
        writer.write_all(missing, reading_threads(math.prod(plan.shape) * plan.stored.itemsize))
        return writer.manifest


def _existing(folder: Path) -> Manifest | None:
    """The manifest that is there already; what killed writers left is removed."""
    for partial in folder.glob(".partial-*"):
        partial.unlink()
    if (folder / MANIFEST).exists():
        return read_manifest(folder)
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise InputError(f"{folder} holds other files ({others[0]!r}); choose another --output, or empty it")
    return None


def _plan(splits: Splits, source: Mapping[str, Any], shards: int | None, existing: Manifest | None) -> Manifest:
    """What is to be made, nothing of it yet; raises InputError where the existing is another."""
    if not len(splits.train):
        raise InputError("the source is empty; expected at least one example to prepare")
    first = splits.train[0]["data"]
    if shards is None:
        shards = math.ceil(len(splits.train) * first.nbytes / SHARD_BYTES)
        if existing is not None:
            shards = len(existing.parts["train"])
    empty = Manifest(
        shape=tuple(splits.shape),
        dtype=_named(first.dtype),
        levels=splits.levels,
        scaling=splits.scaling,
        classes=tuple(splits.classes),
        left_out=tuple(splits.left_out),
        source=source,
        counts={"train": len(splits.train), "held_out": len(splits.held_out)},
        shard_examples=math.ceil(len(splits.train) / max(shards, 1)),
        parts={},
    )
    plan = replace(empty, parts={split: (None,) * len(empty.ranges(split)) for split in empty.counts})
    found = existing.differences(plan) if existing is not None else []
    if found:
        raise InputError(
            f"the --output holds data prepared of another source or otherwise ({', '.join(found[:4])}"
            f"{' ...' if found[4:] else ''}); choose another, or delete it"
        )
    return plan


def _named(dtype: np.dtype) -> DType:
    for name in get_args(DType):
        if name == dtype.name:
            return name
    raise InputError(f"the data are {dtype.name}; expected {', '.join(get_args(DType))}")


def _is_sound(folder: Path, part: Part) -> bool:
    path = folder / part.file
    return path.is_file() and path.stat().st_size == part.bytes and sha256(path) == part.sha256


def _agrees(folder: Path, part: Part, plan: Manifest, source: Source, rows: range) -> bool:
    shard = Shard(folder / part.file, part.examples, plan.shape, plan.stored)
    return all(_equal(shard.read(index - rows[0], index), source[index]) for index in (rows[0], rows[-1]))


def _equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return all(one[name].tobytes() == other[name].tobytes() for name in ("data", "label"))


class _StoppedError(Exception):
    """Another thread failed."""


class _Writer:
    """Writes shards from several threads, and the manifest after each; the first failure stops them all."""

    def __init__(self, folder: Path, plan: Manifest, sources: Mapping[str, Source], written: Callable[[int], None]):
        self.manifest = plan
        self._folder, self._sources, self._written = folder, sources, written
        self._stop, self._lock = threading.Event(), threading.Lock()

    def write_all(self, missing: Iterable[tuple[str, int, range]], threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(self._write, *one) for one in missing]
            try:
                errors = [future.exception() for future in futures]
            except BaseException:
                self._stop.set()
                raise
        for error in errors:
            if error is not None and not isinstance(error, _StoppedError):
                raise error

    def _write(self, split: str, shard: int, rows: range) -> None:
        plan = self.manifest
        name = plan.name(split, shard)
        partial = self._folder / f".partial-{name}"
        try:
            write_shard(partial, self._sources[split], self._counted(rows), plan.shape, plan.stored)
            part = Part(name, len(rows), partial.stat().st_size, sha256(partial))
            partial.replace(self._folder / name)
            with self._lock:
                self.manifest = self.manifest.with_part(split, shard, part)
                self.manifest.write(self._folder)
        except BaseException:
            self._stop.set()
            raise

    def _counted(self, rows: range) -> Iterator[int]:
        for index in rows:
            if self._stop.is_set():
                raise _StoppedError
            yield index
            self._written(1)


def reading_threads(size: int) -> int:
    """How many threads read examples of so many bytes fastest: one, or for large ones as many as there are cores."""
    return min(os.cpu_count() or 1, 16) if size >= _THREADS_FROM_BYTES else 1


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder and hold it, for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("a")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder}: another process is preparing data there; wait for it") from error
        except OSError:
            pass  # a file system without locks
        yield
