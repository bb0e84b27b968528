"""How far our numbers are from recorded ones."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import ArrayLike

from sde_jax.typing import Array

Record: TypeAlias = Mapping[str, Array]
"""The arrays of one recorded file, by name."""


class Comparison(NamedTuple):
    """How far a recorded array is from ours: the largest difference, relative to the numbers it stands among."""

    name: str
    difference: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is a number, and within the tolerance."""
        return self.difference <= self.tolerance


EVERYWHERE = slice(None)


def as_whole(
    name: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float = 1e-5, rows: slice | np.ndarray = EVERYWHERE
) -> Comparison:
    """Return the difference in some rows, relative to the largest number recorded there."""
    ours, theirs = _chosen(ours, theirs, rows)
    return _compared(name, ours, theirs, tolerance, np.max(np.abs(theirs), initial=0.0))


def by_row(
    name: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float = 1e-5, rows: slice | np.ndarray = EVERYWHERE
) -> Comparison:
    """Return the difference in some rows, each relative to its own largest number: it has a time of its own."""
    ours, theirs = _chosen(ours, theirs, rows)
    return _compared(name, ours, theirs, tolerance, np.max(np.abs(theirs), tuple(range(1, theirs.ndim)), keepdims=True))


def _chosen(ours: ArrayLike, theirs: ArrayLike, rows: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    # a number that does not depend on the time is recorded once
    theirs = np.broadcast_to(theirs, ours.shape) if theirs.ndim == 0 else theirs
    return (ours[rows], theirs[rows]) if theirs.ndim else (ours, theirs)


def _compared(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float, scale: np.ndarray) -> Comparison:
    if ours.shape != theirs.shape:
        return Comparison(name, float("inf"), tolerance)
    # where nothing but zeros is recorded the difference is absolute
    difference = np.abs(ours - theirs) / np.where(scale > 0, scale, 1.0)
    return Comparison(name, float(np.max(difference, initial=0.0)), tolerance)
