"""What a page shows of images: grids of samples, samples while they are generated, previews of a training."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from PIL.Image import fromarray

from sde_jax.errors import InputError
from sde_jax.report.checks import finite_vector, image_batch, same_length
from sde_jax.report.embedding import png
from sde_jax.report.grid import image_grid
from sde_jax.report.progress import preview_pictures

_GRID_PIXELS = 600
_PAIR_PIXELS = 400
_PREVIEW_PIXELS = 200


def grid_figures(grids: Mapping[str, ArrayLike]) -> list[dict[str, object]]:
    """A figure for each caption with its images, uint8 [n, h, w, c]; raises InputError where they are no such array."""
    # Drawn twice as large as it is shown, a grid is sharp on a fine screen, and two fit beside each other.
    shown = _GRID_PIXELS if len(grids) == 1 else _PAIR_PIXELS
    figures = []
    for caption, images in grids.items():
        array = image_batch(f"the grid {caption!r}", images)
        n, height, width, _ = array.shape
        picture = image_grid(array, pixels=2 * shown)
        ratio = min(0.5, shown / picture.width)
        figures.append(
            {
                "caption": caption,
                "source": png(picture),
                "width": round(ratio * picture.width),
                "height": round(ratio * picture.height),
                "alt": f"{caption}: {n} images of {width} by {height} pixels",
            }
        )
    return figures


def trajectory_frames(trajectory: ArrayLike | None, at: ArrayLike | None) -> list[dict[str, object]]:
    """A frame for each diffusion time of samples, as `Report` has them; raises InputError where they do not fit."""
    if trajectory is None or at is None:
        if trajectory is not at:
            raise InputError("the report has one of trajectory and trajectory_times; expected both, or neither")
        return []
    frames = image_batch("trajectory", trajectory, leading="frames, n")
    times = finite_vector("trajectory_times", at)
    same_length("trajectory", frames, "trajectory_times", times)
    if times.min() < 0 or times.max() > 1 or np.any(np.diff(times) > 0):
        raise InputError(f"trajectory_times run from {times[0]:g} to {times[-1]:g}; expected t in [0, 1], never rising")
    frames_shown = []
    for frame, text in zip(frames, _time_texts(times), strict=True):
        picture = image_grid(frame, pixels=_GRID_PIXELS)
        frames_shown.append({"time": text, "source": png(picture), "width": picture.width, "height": picture.height})
    return frames_shown


def _time_texts(times: np.ndarray) -> list[str]:
    # As few decimals as tell the frames apart.
    texts: list[str] = []
    for digits in range(2, 7):
        texts = [f"t = {time:.{digits}f}" for time in times]
        if len(set(texts)) == len(set(times.tolist())):
            break
    return texts


def preview_figures(previews: Mapping[str, ArrayLike]) -> list[dict[str, object]]:
    """A figure for each caption with its picture, uint8 [h, w, c]; raises InputError where one is no such array."""
    return _figures(previews, _PREVIEW_PIXELS, "Samples while it trained")


def restoration_figures(restorations: Mapping[str, ArrayLike]) -> list[dict[str, object]]:
    """As `preview_figures`, of pictures that have words in them and are drawn twice as large as they are shown."""
    return _figures(restorations, _GRID_PIXELS, "What was measured and what it may have been")


def _figures(pictures: Mapping[str, ArrayLike], pixels: int, what: str) -> list[dict[str, object]]:
    return [
        {
            "caption": caption,
            "source": png(fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)),
            "width": min(pixels, picture.shape[1]),
            "alt": f"{what}, {caption}",
        }
        for caption, picture in preview_pictures(pictures)
    ]
