"""safetensors: arrays by name, in a format that holds nothing else."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from safetensors import safe_open
from safetensors.numpy import save_file

from sde_jax.checkpoints.contents import contents_of
from sde_jax.checkpoints.dtypes import DTYPES
from sde_jax.errors import InputError

WRITABLE = tuple(name for name in DTYPES if name != "complex128" and not name.startswith("float8"))
"""The types that the library can both write and read as NumPy's."""


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays of a safetensors file by name, and its metadata; raises `InputError` if it is damaged."""
    contents_of(path).close()
    try:
        with safe_open(Path(path).expanduser(), framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except Exception as error:
        raise InputError(
            f"{path} is no safetensors file, or damaged ({str(error)!a:.120}); copy or download it again"
        ) from error


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays by name, and text by name, to a safetensors file, which appears when it is complete.

    Raises `InputError` for a name or a type that the format does not have, or if the file cannot be written.
    """
    # The library writes the memory as it lies, without a look at the strides.
    solid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in solid.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise InputError(f"an array is named {name!r}; expected text other than '__metadata__': rename it")
        if array.dtype.name not in WRITABLE:
            raise InputError(f"{name} is {array.dtype}; expected one of {', '.join(WRITABLE)}: convert it")
    if not all(isinstance(text, str) for entry in (metadata or {}).items() for text in entry):
        raise InputError(f"the metadata are {metadata!r:.120}; expected text by name: convert the values")
    location = Path(path).expanduser()
    partial = location.with_name(location.name + ".partial")
    try:
        save_file(solid, partial, dict(metadata or {}))
        partial.replace(location)
    except Exception as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written ({error}); check the folder and its permissions") from error
