"""Files of numpy.savez: a zip of arrays by name."""

import mmap
import os
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from sde_jax.archives import opened_npz
from sde_jax.checkpoints.contents import contents_of
from sde_jax.errors import InputError


def is_npz(content: mmap.mmap) -> bool:
    """Return whether a file is a zip with nothing but arrays of NumPy in it."""
    if not content[:4].startswith(b"PK"):
        return False
    try:
        names = zipfile.ZipFile(cast(BinaryIO, content)).namelist()
    except Exception:  # damaged; what reads it will say how
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays of a file of numpy.savez by name.

    Arrays of objects, which are pickles, are refused. Raises `InputError` for these, where the file is damaged, and
    where it would fill the memory.
    """
    contents_of(path).close()
    try:
        with Path(path).expanduser().open("rb") as content, opened_npz(content) as file:
            return {name: file[name] for name in file}
    except Exception as error:
        reason = ascii(" ".join(str(error).split()))[:120]
        raise InputError(f"{path} is no file of numpy.savez, or damaged ({reason}); save or copy it again") from error
