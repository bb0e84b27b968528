"""Pictures of data that are no images: points in the plane, and columns of numbers."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from sde_jax.errors import InputError
from sde_jax.report.diagram import LIGHT
from sde_jax.report.raster import raster

_PANEL = 260
_MOST_POINTS = 5000
_MOST_COLUMNS = 16
_MOST_NAMES = 10
_BINS = 50


def scatter_picture(points: ArrayLike, labels: ArrayLike, names: Sequence[str] = ()) -> Image.Image:
    """Points [n, 2] in the plane, on one scale, the first 5,000 of them, in a colour and under a name for each label.

    labels: [n] whole numbers, -1 for none. names: of the labels 0, 1, ... Raises InputError for other shapes.
    """
    points, labels = np.asarray(points, np.float64)[:_MOST_POINTS], np.asarray(labels)[:_MOST_POINTS]
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise InputError(f"points {list(points.shape)}, labels {list(labels.shape)}; expected [n, 2] and [n]")

    def draw(axes: Axes) -> None:
        there = np.unique(labels)
        colours = (
            matplotlib.colormaps["viridis"](np.linspace(0, 0.95, len(there))) if len(there) > 1 else [LIGHT.series[0]]
        )
        for label, colour in zip(there, colours, strict=True):
            name = names[label] if 0 <= label < len(names) else f"{label}" if label >= 0 else "no label"
            axes.plot(*points[labels == label].T, ".", markersize=3, color=colour, label=name, rasterized=True)
        axes.set_aspect("equal", adjustable="datalim")
        if 1 < len(there) <= _MOST_NAMES:
            axes.legend(fontsize=8, frameon=False, markerscale=3)

    return _picture([draw], 2 * _PANEL)


def histogram_picture(columns: ArrayLike, names: Sequence[str] = ()) -> Image.Image:
    """The distribution of each of the first 16 columns of numbers [n, k]; names: of the columns, else their numbers.

    Raises InputError for other shapes.
    """
    values = np.asarray(columns, np.float64)
    if values.ndim != 2 or not values.size:
        raise InputError(f"columns {list(values.shape)}; expected [n, k], none of them 0")

    def panel(index: int):
        def draw(axes: Axes) -> None:
            axes.hist(values[:, index], bins=_BINS, color=LIGHT.series[0])
            axes.set_yticks([])
            axes.set_title(names[index] if index < len(names) else f"{index}", fontsize=9)

        return draw

    return _picture([panel(index) for index in range(min(values.shape[1], _MOST_COLUMNS))], _PANEL)


def _picture(panels: Sequence, size: int) -> Image.Image:
    columns = math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.ravel(), panels, strict=False):
            axes.tick_params(labelsize=8)
            panel(axes)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()

    return raster(draw, columns * size / 100, rows * size / 100)
