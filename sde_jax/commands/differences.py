"""How two values of JSON differ."""

from collections.abc import Sequence
from typing import Any


def differing(there: Any, here: Any) -> list[tuple[str, ...]]:
    """Return the paths at which two JSON values differ, as the names of objects within objects."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = sorted(there.keys() | here.keys())
        return [(name, *path) for name in names for path in differing(there.get(name), here.get(name))]
    return [] if there == here else [()]


def at(data: Any, path: Sequence[str]) -> Any:
    """Return what a JSON value holds at a path of names, None where there is nothing."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data
