"""A directory of two files: a network's weights, and the JSON that says what they are, checked against each other."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.checkpoints.safetensors_file import read_safetensors, write_safetensors
from sde_jax.checkpoints.tree import flatten, require_match
from sde_jax.codec import decode, encode
from sde_jax.errors import InputError
from sde_jax.placing import ordinary
from sde_jax.typing import Params

VERSION = 1


@dataclass(frozen=True)
class Described:
    """A kind of such directories.

    files: the names of the weights and of the JSON; about: the dataclass that the JSON holds; outline: from one of
    these to parameters of the shapes that the network has; name: what it is called; command: which writes it.
    """

    files: tuple[str, str]
    about: type
    outline: Callable[[Any], Params]
    name: str
    command: str

    def save(self, directory: Path, about: Any, params: Params, **more: Any) -> dict[str, Any]:
        """Write the two files into a directory; return what the JSON says, `more` among it."""
        weights, record = (directory / file for file in self.files)
        write_safetensors(weights, {name: np.asarray(a) for name, a in flatten(params).items()})
        facts = {"format": f"sde_jax {self.name}", "format_version": VERSION, **more}
        facts |= {"sha256": _digest(weights), **encode(about)}
        record.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        weights.chmod(record.stat().st_mode)  # safetensors' files are their owner's alone
        return facts

    def load(self, directory: Path) -> tuple[Any, Params, str]:
        """Return what a directory's JSON holds, the parameters and the SHA-256 of their file; executes nothing of it.

        Raises `InputError` where a file is missing or damaged, or the weights are not those that the JSON was written
        with.
        """
        weights, record = (directory.expanduser() / file for file in self.files)
        facts = self._facts(record)
        described = {name: value for name, value in facts.items() if name in self.about.__dataclass_fields__}
        about, problems = decode(self.about, described, where=str(record))
        if problems or about is None:
            raise InputError("\n".join(problems) or f"{record}: incomplete; train the {self.name} again")
        like = self.outline(about)
        arrays, _ = read_safetensors(weights)
        found, expected = ({name: a.shape for name, a in tree.items()} for tree in (arrays, flatten(like)))
        require_match(found, expected, str(weights))
        digest = _digest(weights)
        if digest != facts["sha256"]:
            advice = f"train the {self.name} again"
            raise InputError(f"{weights}: not the file that {record.name} was written with; {advice}")
        leaves = [arrays[name].astype(np.float32) for name in flatten(like)]
        return about, jax.tree.unflatten(jax.tree.structure(like), leaves), digest

    def _facts(self, path: Path) -> Mapping[str, Any]:
        again = f"train the {self.name} again"
        try:
            facts = json.loads(ordinary(path).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{path}: no such file; expected a directory that `sde-jax {self.command} --output` wrote"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: cannot be read ({error!s:.200}); {again}") from error
        if not isinstance(facts, dict) or facts.get("format_version") != VERSION or "sha256" not in facts:
            raise InputError(f"{path}: not that of trained {self.name} of format {VERSION}; {again}")
        return facts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
