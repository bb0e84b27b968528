"""The training examples nearest to samples."""

from dataclasses import dataclass

import numpy as np

from sde_jax.data import Source, in_order

AT_ONCE = 32


@dataclass(frozen=True)
class Neighbours:
    """The r examples nearest to each of m samples, nearest first.

    index [m, r] int64; distance [m, r] float64, Euclidean, in the data's own units; data [m, r, ...]. Of equally near
    ones that of the lower index comes first.
    """

    index: np.ndarray
    distance: np.ndarray
    data: np.ndarray


def nearest_examples(samples: np.ndarray, source: Source, count: int) -> Neighbours:
    """Return the `count` (or all) examples of a source nearest to each of `samples` [m, ...]; reads each once.

    Raises what the source raises for an example that cannot be read.
    """
    flat = samples.reshape(len(samples), -1).astype(np.float64)
    own = np.sum(flat**2, 1)[:, None]
    index, square = np.zeros((len(flat), 0), np.int64), np.zeros((len(flat), 0))
    data: list[list[np.ndarray]] = [[] for _ in flat]
    for batch in in_order(source, AT_ONCE):
        rows = batch["data"].reshape(len(batch["data"]), -1).astype(np.float64)
        # |a - b|^2 by a product of matrices: a sample against 50,000 images takes a fraction of a second.
        square = np.concatenate([square, own + np.sum(rows**2, 1) - 2 * flat @ rows.T], 1)
        index = np.concatenate([index, np.broadcast_to(batch["index"], (len(flat), len(rows)))], 1)
        order = np.argsort(square, 1, kind="stable")[:, :count]
        index, square = np.take_along_axis(index, order, 1), np.take_along_axis(square, order, 1)
        data = [[[*kept, *batch["data"]][i] for i in best] for kept, best in zip(data, order, strict=True)]
    found = np.array(data).reshape(*index.shape, *samples.shape[1:])
    # Once more, without what rounding leaves of equal numbers.
    apart = found.astype(np.float64) - samples.astype(np.float64)[:, None]
    return Neighbours(index, np.sqrt(np.sum(apart**2, tuple(range(2, apart.ndim)))), found)
