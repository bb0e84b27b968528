"""What the directory of a checkpoint must hold: the shapes and types of its arrays, and a checksum of every file.

Orbax restores flipped bits and other types without a word, and meets a shortened file with pages of text.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from sde_jax.placing import ordinary

FILE = "manifest.json"
SHOWN = 10
"""How many differences are told one by one."""


def arrays_of(tree: Any) -> dict[str, str]:
    """Return {path: "float32 [64, 16]"} of a pytree of arrays, or of their abstract shapes."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): f"{a.dtype} {list(a.shape)}" for path, a in leaves}


def write(directory: Path, arrays: Mapping[str, str]) -> None:
    """Write the manifest of a directory whose items are complete."""
    files = {name: _digest(directory / name) for name in _names(directory)}
    (directory / FILE).write_text(_text({"arrays": dict(arrays), "files": files}))


def damage(directory: Path) -> str:
    """Return how a directory differs from what was written, in one line; "" where it does not.

    A checksum covers each byte of each file that holds data, and the manifest must be, byte for byte, what is written
    of its content: the change of any one bit is seen.
    """
    try:
        text = ordinary(directory / FILE).read_text()
        content = json.loads(text)
        arrays, files = content["arrays"], content["files"]
        if text != _text({"arrays": arrays, "files": files}):
            return f"{FILE} is not as it was saved"
        wrong = [name for name, digest in files.items() if _digest(directory / name) != digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return " ".join(f"{error!s:.300}".split())
    return f"{wrong[0]} is not as it was saved" if wrong else ""


def differences(directory: Path, arrays: Mapping[str, str]) -> list[str]:
    """Return how the arrays of a sound directory differ from those expected, a line each, and a count of the rest.

    What is missing comes first, then what is not expected, other shapes and other types.
    """
    there: dict[str, str] = json.loads((directory / FILE).read_text())["arrays"]
    missing = [f"{name}: missing, {arrays[name]} expected" for name in sorted(arrays.keys() - there.keys())]
    unexpected = [f"{name}: {there[name]} there, not expected" for name in sorted(there.keys() - arrays.keys())]
    other = [name for name in sorted(arrays.keys() & there.keys()) if arrays[name] != there[name]]
    other.sort(key=lambda name: _shape(there[name]) == _shape(arrays[name]))
    lines = [*missing, *unexpected, *(f"{name}: {there[name]} there, {arrays[name]} expected" for name in other)]
    rest = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {rest} more of {len(arrays)} arrays"] if rest > 0 else lines


def _shape(described: str) -> str:
    return described.partition(" ")[2]


def _text(content: dict[str, Any]) -> str:
    digest = hashlib.blake2b(json.dumps(content).encode()).hexdigest()
    return json.dumps({**content, "digest": digest})


def _names(directory: Path) -> list[str]:
    # The items lie in folders, those of every process; what lies beside them marks the commit and is written later.
    return sorted(str(path.relative_to(directory)) for path in directory.glob("*/**/*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
