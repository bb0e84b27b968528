"""Every comparison that a folder allows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError
from sde_jax.recorded.comparison import Comparison, Record
from sde_jax.recorded.controlled import controlled
from sde_jax.recorded.flows import flows
from sde_jax.recorded.paths import paths
from sde_jax.recorded.runs import runs
from sde_jax.recorded.steps import steps

READERS: dict[str, Callable[[str, Record], Iterator[Comparison]]] = {
    "sde_": paths,
    "steps_": steps,
    "pc_": runs,
    "ode_lik_": flows,
    "ctrl_": controlled,
}
"""What is compared of a file, by how its name begins; the rest of the name is the reader's to read."""


def compare(folder: Path, pattern: str = "*") -> list[Comparison]:
    """Return every comparison with the files of a folder whose names, without .npz, match `pattern`.

    All is computed in float64. Raises `InputError` where there are no such files, or one lacks an array.
    """
    files = sorted(path for path in folder.glob(f"{pattern}.npz") if path.stem.startswith(tuple(READERS)))
    if not files:
        expected = ", ".join(f"{prefix}*.npz" for prefix in READERS)
        raise InputError(f"{folder}: nothing recorded matches {pattern}: expected files {expected}")
    return [comparison for path in files for comparison in _of(path)]


def _of(path: Path) -> list[Comparison]:
    prefix, reader = next(item for item in READERS.items() if path.stem.startswith(item[0]))
    try:
        with jax.enable_x64(True), np.load(path) as file:
            record = {name: jnp.asarray(file[name], float) for name in file.files}
            found = list(reader(path.stem.removeprefix(prefix), record))
    except KeyError as error:
        raise InputError(f"{path}: holds no array {error}, which its name promises") from None
    return [comparison._replace(name=f"{path.stem}/{comparison.name}") for comparison in found]
