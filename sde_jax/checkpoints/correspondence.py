"""Which parameter of another project's network is which of ours."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.checkpoints.tree import require_match
from sde_jax.errors import InputError
from sde_jax.typing import Params

Path = tuple[str | int, ...]
"""The keys, from the outside in, of an array in nested dictionaries."""


@dataclass(frozen=True)
class Correspondence:
    """One parameter: its name there, its path in our parameters, and how its array becomes ours."""

    theirs: str
    ours: Path
    convert: Callable[[Any], Any] = np.asarray


def transferred(pairs: Iterable[Correspondence], theirs: Mapping[str, Any], params: Params) -> Params:
    """Return `params` with every array replaced by its counterpart in `theirs`, in the dtype it has here.

    `params` gives structure, shapes and dtypes and may be abstract. Raises `InputError`, naming the first parameters,
    where either side has some without counterpart or of another shape.
    """
    partners, leaves = {pair.ours: pair for pair in pairs}, jax.tree.leaves_with_path(params)
    ours = {tuple(key.key for key in path): leaf for path, leaf in leaves}
    alone = [".".join(map(str, path)) for path in ours if path not in partners]
    if alone:
        raise InputError(f"{len(alone)} parameters ({alone[0]} first) have no counterpart in the official networks")
    converters = {partners[path].theirs: partners[path].convert for path in ours}
    found = {name: converters.get(name, np.asarray)(np.asarray(array)) for name, array in theirs.items()}
    require_match(
        {name: array.shape for name, array in found.items()},
        {partners[path].theirs: leaf.shape for path, leaf in ours.items()},
        "official weights",
    )
    arrays = [jnp.asarray(found[partners[path].theirs], leaf.dtype) for path, leaf in ours.items()]
    return jax.tree.unflatten(jax.tree.structure(params), arrays)
