"""Distances between every two of two sets of rows, in blocks, so that they are never in memory all at once."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sde_jax.pytree import in_one_line

ROWS = 1024


def squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows of x, their |x_i - y_j|^2 [b, m] float64) for x [n, d] and y [m, d], b up to 1,024.

    |x|^2 + |y|^2 - 2 x.y in float64, about the mean of y: right to 1e-15 (|x_i|^2 + |y_j|^2), not relatively.
    """
    centre = np.mean(y, 0, dtype=np.float64)
    for start in range(0, len(x), ROWS):
        a = x[start : start + ROWS] - centre
        block = np.empty((len(a), len(y)))
        for first in range(0, len(y), ROWS):
            b = y[first : first + ROWS] - centre
            tile = np.add.outer(np.sum(a**2, 1), np.sum(b**2, 1))
            tile -= 2 * a @ b.T
            block[:, first : first + ROWS] = tile
        yield slice(start, start + len(a)), np.maximum(block, 0)


@in_one_line
class Neighbours(NamedTuple):
    """The k nearest rows, nearest first. rows: [n, k] their places; distances: [n, k] float64, relatively right."""

    rows: np.ndarray
    distances: np.ndarray


def nearest(x: np.ndarray, y: np.ndarray, k: int) -> Neighbours:
    """Return the k rows of y that are nearest to each row of x, for k up to the number of rows of y."""
    return _nearest(x, y, k, own=False)


def nearest_others(x: np.ndarray, k: int) -> Neighbours:
    """Return the k other rows of x that are nearest to each, for k below the number of rows."""
    return _nearest(x, x, k, own=True)


def _nearest(x: np.ndarray, y: np.ndarray, k: int, own: bool) -> Neighbours:
    rows, distances = np.empty((len(x), k), np.int64), np.empty((len(x), k))
    for part, block in squared_distances(x, y):
        if own:
            np.fill_diagonal(block[:, part], np.inf)
        near = np.argpartition(block, k - 1)[:, :k]
        gaps = y[near.T].astype(np.float64) - x[part]
        exact = np.sqrt(np.sum(gaps**2, -1)).T
        order = np.lexsort((near, exact))
        rows[part], distances[part] = np.take_along_axis(near, order, 1), np.take_along_axis(exact, order, 1)
    return Neighbours(rows, distances)
