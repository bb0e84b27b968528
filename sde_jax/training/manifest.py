"""What the directory of a checkpoint must hold: the shapes and types of its arrays, and a checksum of every file.

Orbax restores flipped bits and other types without a word, and meets a shortened file with pages of text.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from sde_jax.errors import InputError

FILE = "manifest.json"


def arrays_of(tree: Any) -> dict[str, str]:
    """Return {path: "float32 [64, 16]"} of a pytree of arrays, or of their abstract shapes."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): f"{a.dtype} {list(a.shape)}" for path, a in leaves}


def write(directory: Path, arrays: Mapping[str, str]) -> None:
    """Write the manifest of a directory whose items are complete."""
    files = {name: _digest(directory / name) for name in _names(directory)}
    (directory / FILE).write_text(json.dumps({"arrays": dict(arrays), "files": files}))


def check(directory: Path, arrays: Mapping[str, str] | None = None) -> None:
    """Raise `InputError` unless the directory is as it was written and, where given, holds such arrays."""
    advice = "remove this directory to go on from the checkpoint before it"
    try:
        manifest = json.loads((directory / FILE).read_text())
        there, files = manifest["arrays"], manifest["files"]
        wrong = [name for name, digest in files.items() if _digest(directory / name) != digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{directory}: damaged ({error!s:.300}); {advice}") from error
    if wrong:
        raise InputError(f"{directory}: damaged ({wrong[0]} is not as it was saved); {advice}")
    other = [name for name in sorted({*there, *(arrays or there)}) if there.get(name) != (arrays or there).get(name)]
    if arrays and other:
        name = other[0]
        raise InputError(
            f"{directory}: holds another network ({name}: {there.get(name)} there, {arrays.get(name)} expected); "
            "choose another --workdir, or restore the config.json that belongs to it"
        )


def _names(directory: Path) -> list[str]:
    # The items lie in folders; the files beside them, and the marks of commitment, are written after the manifest.
    files = [path for path in directory.glob("*/**/*") if path.is_file() and path.name != "commit_success.txt"]
    return sorted(str(path.relative_to(directory)) for path in files)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
