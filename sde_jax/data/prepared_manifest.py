"""The manifest of prepared data: what they are, what they were made of, and a checksum of every file."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic

from sde_jax.data.scaling import Scaling
from sde_jax.errors import InputError
from sde_jax.placing import ordinary

MANIFEST = "manifest.json"
_KIND = "sde_jax prepared data"
FORMAT = f"{_KIND}, version 1"
DType = Literal["uint8", "int32", "float32"]
_PROGRESS = ("parts", "left_out")
_AGAIN = "delete the folder and prepare the data again"


@dataclass(frozen=True)
class Part:
    """A file: its name, how many examples and bytes it has, and the SHA-256 of its bytes."""

    file: str
    examples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says.

    shape, dtype, levels, scaling, classes, left_out: as of `Splits`. source: what the data were made of, to be told
    from other sources. counts: examples of each split. shard_examples: examples of a shard, the last of a split
    excepted. parts: the shards of each split in order, None where one is not written yet. Raises InputError where
    these do not agree.
    """

    shape: tuple[int, ...]
    dtype: DType
    levels: int | None
    scaling: Scaling
    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    source: Mapping[str, Any]
    counts: Mapping[str, int]
    shard_examples: int
    parts: Mapping[str, tuple[Part | None, ...]]

    def __post_init__(self):
        for split, parts in self.parts.items():
            found = [
                part.examples if part else len(rows) for part, rows in zip(parts, self.ranges(split), strict=False)
            ]
            if found != [len(rows) for rows in self.ranges(split)] or len(found) != len(parts):
                raise InputError(f"shards of {split} with {found} examples; expected {self.counts[split]} in all")

    @property
    def complete(self) -> bool:
        """Whether every shard of every split is written."""
        return all(part is not None for parts in self.parts.values() for part in parts)

    @property
    def stored(self) -> np.dtype:
        """The type of the numbers in the files: little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    def ranges(self, split: str) -> list[range]:
        """The indices of each shard of a split."""
        count, most = self.counts[split], self.shard_examples
        return [range(start, min(start + most, count)) for start in range(0, count, most)]

    def shards(self) -> Iterator[tuple[str, int, range]]:
        """Every shard: its split, its number and the indices of its examples."""
        for split in self.counts:
            yield from ((split, shard, rows) for shard, rows in enumerate(self.ranges(split)))

    def name(self, split: str, shard: int) -> str:
        """The name of a shard's file."""
        return f"{split}-{shard:05}-of-{len(self.ranges(split)):05}.array_record"

    def with_part(self, split: str, shard: int, part: Part) -> "Manifest":
        """The manifest with one shard more."""
        parts = self.parts[split]
        return replace(self, parts={**self.parts, split: (*parts[:shard], part, *parts[shard + 1 :])})

    def differences(self, other: "Manifest") -> list[str]:
        """The names of what two preparations differ in, but for how far they are and the words of what is left out."""
        ours, theirs = _flat(self._plan()), _flat(other._plan())
        return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder, as a whole or not at all."""
        partial = folder / f".partial-{MANIFEST}"
        with open(partial, "w") as file:
            file.write(_text({"format": FORMAT, "complete": self.complete, **asdict(self)}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / MANIFEST)

    def _plan(self) -> dict[str, Any]:
        return json.loads(json.dumps({name: value for name, value in asdict(self).items() if name not in _PROGRESS}))


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds prepared data, of whatever version, complete or damaged."""
    try:
        return _KIND in ordinary(folder / MANIFEST).read_text()[:100]
    except (OSError, ValueError):
        return False


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder. Raises InputError where there is none, or it is damaged or of another format."""
    path = folder / MANIFEST
    try:
        text = ordinary(path).read_text()
        document = json.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} holds no prepared data (no {MANIFEST}); check the path, or make them with `sde-jax data prepare`"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); {_AGAIN}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else document
        raise InputError(f"{path} has the format {found!r:.60}; expected {FORMAT!r}: check the path, or {_AGAIN}")
    content = {name: value for name, value in document.items() if name != "digest"}
    if text != _text(content):
        raise InputError(f"{path} is not as it was written; {_AGAIN}")
    try:
        return pydantic.TypeAdapter(Manifest).validate_python(
            {name: value for name, value in content.items() if name not in ("format", "complete")}
        )
    except (pydantic.ValidationError, TypeError, LookupError) as error:
        raise InputError(f"{path} is damaged ({' '.join(str(error).split()):.200}); {_AGAIN}") from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(content: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps({**content, "digest": digest}, indent=2) + "\n"


def _flat(value: Any, where: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {k: v for name, item in value.items() for k, v in _flat(item, f"{where}.{name}".lstrip(".")).items()}
    return {where: value}
