"""The bytes of a file, mapped: what is not looked at is not read."""

import mmap
import os
from pathlib import Path

from sde_jax.errors import InputError
from sde_jax.placing import ordinary


def contents_of(path: str | os.PathLike[str]) -> mmap.mmap:
    """Return the bytes of a file, mapped read-only; raises `InputError` unless it is a file with at least one byte."""
    location = Path(path).expanduser()
    try:
        if location.is_dir():
            raise InputError(f"{path} is a directory; expected the one file that holds the weights: name that file")
        with ordinary(location).open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise InputError(f"{path} is empty; expected a file of weights: copy or download it again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; expected a file of weights: check the path") from error
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); check the path and its permissions") from error
