"""States of metrics as files."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError, RunError
from sde_jax.placing import ordinary


class Cache(Workdir):
    """The user's cache: what it does not take is told, and measured again another time."""

    def write(self, name: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` make a file, as a whole or not at all."""
        try:
            return super().write(name, write)
        except (InputError, RunError) as error:
            print(f"sde-jax: {error}; the work goes on", file=sys.stderr)
            return self.path / name


def digest(of: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of JSON-able data."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def file_of(folder: str, of: Mapping[str, Any]) -> str:
    """Return the name of the file of what `of` describes."""
    return f"{folder}/{digest(of)[:32]}.npz"


def write(workdir: Workdir, name: str, of: Mapping[str, Any], state: Any) -> None:
    """Write a pytree of NumPy arrays with the JSON-able data that say what it is of, as a whole or not at all."""
    arrays = {f"leaf_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(state))}

    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, of=np.array(json.dumps(of)), **arrays)

    workdir.write(name, save)


def read(workdir: Workdir, name: str, of: Mapping[str, Any], like: Any) -> Any:
    """Return the pytree that `write` wrote of the same, with the structure of `like`; None where there is none.

    A file that cannot be read is told, and is none.
    """
    path = workdir.path / name
    if not path.exists():
        return None
    leaves, structure = jax.tree.flatten(like)
    try:
        with ordinary(path).open("rb") as content, np.load(content, allow_pickle=False) as file:
            if json.loads(str(file["of"])) != json.loads(json.dumps(of)):
                return None
            return jax.tree.unflatten(structure, [file[f"leaf_{i}"] for i in range(len(leaves))])
    except Exception as error:  # NumPy and zipfile fail on a damaged file with almost any type
        reason = " ".join(str(error).split())
        print(f"sde-jax: {path}: damaged ({reason}); what it held is measured again", file=sys.stderr)
        return None
