"""Nested containers of arrays: their names, and whether they are the ones expected."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from sde_jax.errors import InputError, shown

DEPTH = 64
"""Containers lie in one another at most this deep."""

WIDTH = 2**20
"""No depth of a tree holds more values."""

_LEAVES = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic, np.dtype)
_SHOWN = 4


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"a/b/c": leaf} of nested dicts; elements of lists and tuples are named by their index.

    None and empty containers have no leaves. Raises `InputError` where two leaves would have one name.
    """
    leaves, _ = jax.tree.flatten_with_path(dict(tree))
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two arrays are named {twice!r}; expected keys without '/': rename one")
    return {name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested dicts of {"a/b/c": leaf}; raises `InputError` if a name is both a leaf and a folder."""
    tree: dict[str, Any] = {}
    for name in sorted(leaves):
        *folders, last = name.split("/")
        place = tree
        for depth, folder in enumerate(folders):
            # A leaf sorts before the names below it, so that it is found here.
            if "/".join(folders[: depth + 1]) in leaves:
                raise InputError(f"{'/'.join(folders[: depth + 1])!r} is an array and holds {name!r}; rename one")
            place = place.setdefault(folder, {})
        place[last] = leaves[name]
    return tree


def require_match(
    found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], what: str, limit: int = _SHOWN
) -> None:
    """Raise `InputError` unless {name: shape} are equal: `what` and at most `limit` differences of each kind."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    reshaped = [
        f"{shown(name)} {list(found[name])} there, {list(shape)} expected"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
    differences = [f"{len(names)} {kind} ({_first(names, limit)})" for kind, names in kinds if names]
    if differences:
        raise InputError(f"{what}: not the weights of this network: {', '.join(differences)}")


def require_plain(tree: Any) -> None:
    """Raise `InputError` unless a tree is made of plain containers, numbers, text and arrays, and ends.

    Containers that hold themselves, or each other so often that no walk would end, are found level by level.
    """
    level: Collection[Any] = [tree]
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict | list | tuple | set | frozenset):
                below.extend(value.values() if isinstance(value, dict) else value)
            elif not isinstance(value, _LEAVES):
                raise InputError(f"holds a {type(value).__name__} as a value; expected numbers, text and arrays")
        if len(below) > WIDTH:
            raise InputError(f"holds more than {WIDTH} values at one depth; expected weights and a few numbers")
        if not below:
            return
        level = below
    raise InputError(f"holds containers more than {DEPTH} deep; expected weights")


def _first(names: Sequence[str], limit: int) -> str:
    more = len(names) - limit
    return "; ".join(map(shown, names[:limit])) + (f"; and {more} more" if more > 0 else "")
