"""The largest distance between two of many points."""

import math
from typing import NamedTuple

import numpy as np

_ROWS = 1024
_STEPS = 8


class Diameter(NamedTuple):
    """max |x_i - x_j|_2 over all i and j lies in [lower, upper]; the two points numbered `pair` are `lower` apart.

    Equal bounds mean that it is exact, up to the rounding of products in float32: 1e-6 of it.
    """

    lower: float
    upper: float
    pair: tuple[int, int]


def diameter(points: np.ndarray, units: np.ndarray | float = 1.0, most_products: float = math.inf) -> Diameter:
    """Return the largest distance between two of `points` [n, d], n >= 1, whose numbers are divided by `units` [d].

    With r_i the distance of x_i from the mean, |x_i - x_j| <= r_i + r_j. A first lower bound is the way from the
    outermost point to the farthest from it, taken a few times. Pairs of blocks of points follow in falling order of the
    sum of their largest r, until that is no more than a distance found: exact, and for images after a small part of all
    pairs. Points that all lie far out, as normal ones in many dimensions do, need all n^2 d / 2 products; after
    `most_products` of them the sum at hand is the upper bound.
    """
    cloud = _Cloud(points, units)
    found = cloud.outermost()
    order = np.argsort(-cloud.radii, kind="stable")
    blocks = [order[start : start + _ROWS] for start in range(0, len(order), _ROWS)]
    reach = np.array([cloud.radii[block[0]] for block in blocks])
    first, second = np.triu_indices(len(blocks))
    bounds = reach[first] + reach[second]
    spent = 0.0
    for pair in np.argsort(-bounds, kind="stable"):
        if bounds[pair] <= found.lower:
            break
        if spent >= most_products:
            return found._replace(upper=float(bounds[pair]))
        i, j = first[pair], second[pair]
        one = blocks[i][cloud.radii[blocks[i]] > found.lower - reach[j]]
        other = blocks[j][cloud.radii[blocks[j]] > found.lower - reach[i]]
        found = max(found, cloud.farthest(one, other))
        spent += float(len(one)) * len(other) * points.shape[1]
    return found


class _Cloud:
    """Points as they are stored, from which rows are taken relative to the mean, in float32."""

    def __init__(self, points: np.ndarray, units: np.ndarray | float):
        self._points, self._units = points, units
        self._centre = np.mean(points, 0, dtype=np.float64)
        starts = range(0, len(points), _ROWS)
        norms = [np.linalg.norm(self.rows(np.s_[start : start + _ROWS]), axis=1) for start in starts]
        # Rounded up, so that the sum of two bounds a distance that is not rounded.
        self.radii = np.concatenate(norms).astype(np.float64) * (1 + 1e-6)

    def rows(self, indices: np.ndarray | slice) -> np.ndarray:
        return ((self._points[indices] - self._centre) / self._units).astype(np.float32)

    def apart(self, i: int, j: int) -> Diameter:
        """The distance of two points, in float64."""
        difference = (self._points[i].astype(np.float64) - self._points[j].astype(np.float64)) / self._units
        distance = float(np.linalg.norm(difference))
        return Diameter(distance, distance, (min(i, j), max(i, j)))

    def outermost(self) -> Diameter:
        """The farthest point from the outermost, then the farthest from that, and so on."""
        best, i = self.apart(0, 0), int(np.argmax(self.radii))
        for _ in range(_STEPS):
            j = self._farthest_from(i)
            step = self.apart(i, j)
            if step.lower <= best.lower:
                break
            best, i = step, j
        return best

    def _farthest_from(self, i: int) -> int:
        here = self.rows(np.s_[i : i + 1])
        starts = range(0, len(self._points), _ROWS)
        return int(np.argmax(np.concatenate([_squares(here, self.rows(np.s_[s : s + _ROWS]))[0] for s in starts])))

    def farthest(self, one: np.ndarray, other: np.ndarray) -> Diameter:
        """The largest distance from a point of one set to a point of another; 0 where one is empty."""
        if not (len(one) and len(other)):
            return Diameter(0.0, 0.0, (0, 0))
        squares = _squares(self.rows(one), self.rows(other))
        row, column = np.unravel_index(np.argmax(squares), squares.shape)
        return self.apart(int(one[row]), int(other[column]))


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.add.outer((a**2).sum(1), (b**2).sum(1)) - 2 * a @ b.T
