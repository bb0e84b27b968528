"""Samples beside the training images that are nearest to them."""

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import array_of, image_batch
from sde_jax.report.embedding import png
from sde_jax.report.grid import image_grid

_MOST = 24
_TILE_PIXELS = 96


def neighbour_figures(neighbours: tuple[ArrayLike, ArrayLike, ArrayLike] | None) -> list[dict[str, object]]:
    """A figure for each sample, the one nearest to a training image first: the sample, then its neighbours.

    neighbours: as `Report` has them; at most 24 are shown. Raises InputError where the arrays do not fit or a distance
    is negative or not finite.
    """
    if neighbours is None:
        return []
    if not isinstance(neighbours, tuple | list) or len(neighbours) != 3:
        raise InputError("neighbours are no triple; expected (samples, neighbours, distances)")
    samples = image_batch("samples of neighbours", neighbours[0])
    nearest = image_batch("neighbours", neighbours[1], leading="k, m")
    distances = array_of("distances", neighbours[2])
    if nearest.shape[0] != len(samples) or nearest.shape[2:] != samples.shape[1:]:
        raise InputError(f"neighbours are {list(nearest.shape)} of samples {list(samples.shape)}; expected m for each")
    if distances.shape != nearest.shape[:2] or not np.all(np.isfinite(distances)) or np.any(distances < 0):
        raise InputError(f"distances are {list(distances.shape)}; expected {list(nearest.shape[:2])} of 0 or more")
    return [_figure(samples[i], nearest[i], distances[i]) for i in np.argsort(distances[:, 0], kind="stable")[:_MOST]]


def _figure(sample: np.ndarray, nearest: np.ndarray, distances: np.ndarray) -> dict[str, object]:
    row = np.concatenate([sample[None], nearest])
    scale = max(1, round(_TILE_PIXELS / max(sample.shape[:2])))
    # Drawn twice as large as it is shown, it is sharp on a fine screen.
    picture = image_grid(row, columns=len(row), scale=2 * scale)
    texts = [f"{distance:.3g}" for distance in distances]
    return {
        "source": png(picture),
        "width": round(picture.width / 2),
        "height": round(picture.height / 2),
        "caption": f"distance {', '.join(texts)}",
        "alt": f"A sample, then its {len(nearest)} nearest training images, at distance {', '.join(texts)}",
    }
