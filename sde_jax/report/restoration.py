"""The picture of an inverse problem: what was measured, samples of what it may have been, and how sure that is."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from sde_jax.errors import InputError
from sde_jax.report.checks import array_of, image_batch
from sde_jax.report.diagram import LIGHT
from sde_jax.report.raster import raster

_TILE = 170
_HIDDEN = np.array([213, 94, 0], np.uint8)
_COLUMNS = 4


def restoration_picture(
    measured: ArrayLike,
    known: ArrayLike,
    samples: ArrayLike,
    mean: ArrayLike,
    deviation: ArrayLike,
    truth: ArrayLike | None = None,
    remarks: Sequence[str] = (),
) -> Image.Image:
    """Tiles in rows of four: the measurement, the truth where known, the mean, its uncertainty, and the samples.

    measured: uint8 [h', w', c'], with orange where `known`, bool [h', w'], is not; samples: uint8 [m, h, w, c], 16 of
    which are shown; mean, truth: uint8 [h, w, c]; deviation: [h, w], in grey levels, drawn from 0 on with a bar that
    says how large; remarks: lines below. Pixels are enlarged without smoothing. Raises InputError for other arrays.
    """
    drawn = image_batch("samples", samples)[: 4 * _COLUMNS]
    spread = array_of("deviation", deviation)
    if spread.shape != drawn.shape[1:3] or not np.isfinite(spread).all():
        raise InputError(f"deviation {list(spread.shape)}: expected finite numbers [h, w] of {list(drawn.shape[1:3])}")
    tiles = [("measured", _painted(measured, known))]
    tiles += [] if truth is None else [("truth", _one("truth", truth))]
    tiles += [("mean", _one("mean", mean)), ("standard deviation, levels", spread)]
    tiles += [("", np.zeros((0, 0)))] * (-len(tiles) % _COLUMNS)
    tiles += [(f"sample {index + 1}", image) for index, image in enumerate(drawn)]
    return _laid_out(tiles, remarks)


def _one(name: str, image: ArrayLike) -> np.ndarray:
    return image_batch(name, array_of(name, image)[None])[0]


def _painted(measured: ArrayLike, known: ArrayLike) -> np.ndarray:
    image, seen = _one("measured", measured), array_of("known", known)
    if seen.shape != image.shape[:2]:
        raise InputError(f"known {list(seen.shape)}; expected one for each pixel of {list(image.shape)}")
    return np.where(seen[..., None], np.broadcast_to(image, (*image.shape[:2], 3)), _HIDDEN)


def _laid_out(tiles: Sequence[tuple[str, np.ndarray]], remarks: Sequence[str]) -> Image.Image:
    rows = math.ceil(len(tiles) / _COLUMNS)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, (name, values) in zip(grid, tiles, strict=False):
            axes.set_title(name, fontsize=7, color=LIGHT.ink, pad=3)
            if values.size and values.dtype == np.uint8:
                shown = values[..., 0] if values.shape[-1] == 1 else values
                axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            elif values.size:
                shown = axes.imshow(values, cmap="magma", vmin=0, vmax=values.max() or 1, interpolation="nearest")
                figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03).ax.tick_params(labelsize=6, length=2)
        if remarks:
            figure.supxlabel("\n".join(remarks), fontsize=6, color=LIGHT.muted)

    height = rows * (_TILE + 20) + 18 * len(remarks) + 6
    return raster(draw, _COLUMNS * _TILE / 100, height / 100, 200)
