"""Data that `sde-jax data prepare` converted: array_record files and their manifest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sde_jax.data.prepared_manifest import MANIFEST, Manifest, read_manifest
from sde_jax.data.shards import Shard
from sde_jax.data.sources import Splits
from sde_jax.errors import InputError


@dataclass(frozen=True)
class Prepared:
    """The data in the folder at `path`, which `sde-jax data prepare` made of another data set, bit for bit equal."""

    path: str

    def open(self) -> Splits:
        """Both splits, of which an example is read when it is asked for.

        Opening reads the manifest and looks for the files. Raises InputError where the folder holds no prepared data,
        these are not complete, or a file is missing or of another size; a damaged record raises it when it is read.
        """
        if not self.path:
            raise InputError("no path to the prepared data; expected a folder: set the data's path")
        folder = Path(self.path).expanduser()
        manifest = read_manifest(folder)
        _check_files(folder, manifest)
        train, held_out = (PreparedSource(folder, manifest, split) for split in ("train", "held_out"))
        facts = manifest.shape, manifest.levels, manifest.scaling, manifest.classes, manifest.left_out
        return Splits(train, held_out, *facts)


class PreparedSource:
    """A split of prepared data, read at random from its shards."""

    def __init__(self, folder: Path, manifest: Manifest, split: str):
        self._count, self._rows = manifest.counts[split], manifest.shard_examples
        self._shards = [
            Shard(folder / part.file, part.examples, manifest.shape, manifest.stored)
            for part in manifest.parts[split]
            if part is not None
        ]

    def __len__(self) -> int:
        """The number of examples."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`. Raises InputError, naming the file, where it is damaged."""
        index = range(len(self))[index]
        shard, row = divmod(index, self._rows)
        return self._shards[shard].read(row, index)


def _check_files(folder: Path, manifest: Manifest) -> None:
    again = "run the same `sde-jax data prepare` again"
    if not manifest.complete:
        shards = [part for parts in manifest.parts.values() for part in parts]
        done = sum(part is not None for part in shards)
        raise InputError(f"{folder} is not complete ({MANIFEST}: {done} of {len(shards)} shards); {again}")
    for part in (part for parts in manifest.parts.values() for part in parts if part is not None):
        path = folder / part.file
        size = path.stat().st_size if path.is_file() else None
        if size != part.bytes:
            found = "is missing" if size is None else f"has {size} bytes; expected {part.bytes}"
            raise InputError(f"{path} {found}; {again}, which replaces what is missing or damaged")
