"""What checkpoints are kept by: orbax and tensorstore, and the proof that they give back what they were given.

Both take some names of directories for patterns, or for other directories: they save there, without an error, what they
do not find again.
"""

import errno
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from sde_jax.errors import InputError, shown
from sde_jax.processes import job

AT_ONCE = 2**28
"""Bytes of arrays that are read back at a time."""
LONGEST = 3900
"""Bytes of a directory's path: with the names of files below it, systems take 4,095."""
_COMMIT = ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE)
_OF_THE_DISK = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)]
_RESERVED = re.compile(r"\[[^/]*\]|\\|[\ud800-\udfff]")


def checkpointer(finalized: Callable[[], None]) -> ocp.AsyncCheckpointer:
    """Return what saves in the background; `finalized` is called when all is written and nothing is committed yet."""
    # Directories made in the background, on a disk that cannot be written, leave threads that wait for minutes.
    options = ocp.options.AsyncOptions(post_finalization_callback=finalized, create_directories_asynchronously=False)
    composite = ocp.CompositeOptions(async_options=options)
    return ocp.AsyncCheckpointer(
        ocp.CompositeCheckpointHandler(composite_options=composite), atomicity_options=_COMMIT, async_options=options
    )


def require_name(directory: Path) -> None:
    """Raise `InputError` where checkpoints cannot be kept in a directory because of its name."""
    path = str(directory.absolute())
    found, length = _RESERVED.search(path), len(os.fsencode(path))
    if length > LONGEST:
        raise InputError(f"{shown(directory)}: a path of {length} bytes; expected at most {LONGEST}: choose another")
    long = max((len(os.fsencode(part)) for part in directory.absolute().parts), default=0)
    if long > 255:
        raise InputError(f"{shown(directory)}: a name of {long} bytes; expected at most 255: choose another")
    if found:
        what = "is not UTF-8" if found.group() > "\ud7ff" else f"has {found.group()!r} in it"
        raise InputError(
            f"{shown(directory)}: checkpoints cannot be kept in a directory whose path {what}; choose another name"
        )


def require_storage(directory: Path) -> None:
    """Raise `InputError` where a small array that is saved below a directory cannot be restored; nothing stays there.

    What a disk that is full or read-only says is left to the first real save.
    """
    place, value = directory / ".storage-test", {"array": np.arange(3.0)}
    shutil.rmtree(place, ignore_errors=True)
    options = ocp.options.MultiprocessingOptions
    alone = options(0, {0}, "storage") if job.count() > 1 else options()
    try:
        handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
        with ocp.Checkpointer(handler, multiprocessing_options=alone, atomicity_options=_COMMIT) as storage:
            storage.save(place / "0000000000" / "state", args=ocp.args.StandardSave(value))
            again = storage.restore(place / "0000000000" / "state", args=ocp.args.StandardRestore(value))
        if not np.array_equal(again["array"], value["array"]):
            raise ValueError("other numbers come back")
    except Exception as error:  # of orbax and tensorstore, of any type
        if any(text in str(error) for text in _OF_THE_DISK):
            return
        reason = f"what is saved there cannot be restored ({shown(line_of(error))})"
        raise InputError(f"{shown(directory)}: {reason}; choose another place") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def require_restorable(state: Path, arrays: Mapping[str, str]) -> None:
    """Raise `OSError` unless all arrays, and with these shapes and types, can be read from a folder that orbax wrote.

    arrays: as of `manifest.arrays_of`. They are read `AT_ONCE`, on this process alone.
    """
    handler, place = ocp.PyTreeCheckpointHandler(), epath.Path(state)
    try:
        there: Any = handler.metadata(place).tree
        leaves, structure = jax.tree.flatten_with_path(there)
        names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
        numpy = jax.tree.unflatten(structure, [ocp.RestoreArgs(restore_type=np.ndarray)] * len(names))
        found: dict[str, str] = {}
        for group in _groups({name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}):
            asked = jax.tree.unflatten(structure, [0 if name in group else ocp.PLACEHOLDER for name in names])
            read = handler.restore(place, args=ocp.args.PyTreeRestore(asked, restore_args=numpy))
            values = dict(zip(names, jax.tree.leaves(read), strict=True))
            found |= {name: f"{values[name].dtype} {list(values[name].shape)}" for name in group}
    except Exception as error:  # of orbax and tensorstore, of any type
        raise OSError(f"it cannot be read back: {line_of(error)}") from error
    finally:
        handler.close()
    lost = sorted(name for name in arrays if found.get(name) != arrays[name])
    if lost:
        raise OSError(f"{lost[0]} cannot be read back")


def line_of(error: Exception) -> str:
    """Return the first line of what an error says."""
    return next(iter(str(error).splitlines()), repr(error))


def _groups(arrays: Mapping[str, Any]) -> Iterator[set[str]]:
    group, size = set[str](), 0
    for name, array in arrays.items():
        group.add(name)
        size += math.prod(array.shape) * np.dtype(array.dtype).itemsize
        if size >= AT_ONCE:
            yield group
            group, size = set[str](), 0
    if group:
        yield group
