"""`sde-jax data prepare`: any source as array_record files."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sde_jax.codec import encode
from sde_jax.data import Dataset, HuggingFace, Images, prepare
from sde_jax.data.prepared_manifest import sha256


def run(dataset: Dataset, output: Path, shards: int | None) -> dict[str, Any]:
    """Convert a data set into the folder `output`, or go on with that; return what was done.

    A source is known by its settings and the contents of its files, wherever they lie. Raises as `data.prepare` does.
    """
    splits, source = dataset.open(), identity(dataset)
    began, counts = time.monotonic(), {"kept": 0, "written": 0}
    total = len(splits.train) + len(splits.held_out)
    with tqdm(total=total, desc="prepare", unit="example", delay=1) as bar:

        def told(what: str, examples: int) -> None:
            with bar.get_lock():
                counts[what] += examples
                bar.update(examples)

        manifest = prepare(splits, source, output, shards, lambda n: told("kept", n), lambda n: told("written", n))
    parts = [part for parts in manifest.parts.values() for part in parts if part is not None]
    return {
        "output": str(output),
        "shape": list(manifest.shape),
        "levels": manifest.levels,
        **manifest.counts,
        "shards": len(parts),
        "bytes": sum(part.bytes for part in parts),
        "examples_kept": counts["kept"],
        "examples_written": counts["written"],
        "seconds": time.monotonic() - began,
        "use": f"--config.data=Prepared --config.data.path={output}",
    }


def identity(dataset: Dataset) -> dict[str, Any]:
    """Return the settings of a data set, with the contents of the files that it reads in the place of their paths."""
    settings = encode(dataset).items()
    # Version 0.1.0 prepared images without following the orientation in their metadata.
    reading = {"orientation": "followed"} if isinstance(dataset, Images | HuggingFace) else {}
    found = {name: _contents(Path(value).expanduser()) if _is_read(name, value) else value for name, value in settings}
    return found | reading


def _is_read(name: str, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    path = Path(value).expanduser()
    return path.is_file() or (path.is_dir() and name.split("_")[-1] == "path")


def _contents(location: Path) -> dict[str, Any]:
    """Return the number of files at a path and the SHA-256 of their names and contents; hidden ones do not count."""
    if location.is_file():
        return {"files": 1, "sha256": sha256(location)}
    digest, count = hashlib.sha256(), 0
    for count, (name, file) in enumerate(sorted(_walk(location)), 1):  # noqa: B007
        digest.update(f"{sha256(file)} {name}\n".encode())
    return {"files": count, "sha256": digest.hexdigest()}


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                path = Path(root) / name
                yield path.relative_to(folder).as_posix(), path


def shown(facts: Mapping[str, Any]) -> str:
    """Return the facts as lines."""
    return "\n".join(f"{name.replace('_', ' '):<18} {_text(value)}" for name, value in facts.items())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
