"""Images in rows."""

import math

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from sde_jax.errors import InputError
from sde_jax.report.checks import image_batch

_LINE_GREY = 128


def image_grid(
    images: ArrayLike, columns: int | None = None, scale: int | None = None, *, pixels: int = 600
) -> Image.Image:
    """The images in rows, read as a page is, between grey lines.

    images: uint8 [n, h, w, c], c = 1 (grey) or 3 (RGB). columns: images in a row, by default the most
    square arrangement. scale: pixels a side that each pixel becomes (nearest neighbour), by default the
    whole number, 1 or more, that brings the longer side nearest to `pixels`. Returns mode "L" or "RGB",
    columns (scale w + line) + line pixels wide and rows (scale h + line) + line high, where line is a 24th
    of the enlarged image's shorter side, rounded down, and at least 1. Raises InputError for another rank
    or dtype, or numbers below 1.
    """
    array = image_batch("images", images)
    n, height, width, channels = array.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    if columns < 1:
        raise InputError(f"columns is {columns}; expected 1 or more images in a row")
    rows = math.ceil(n / columns)
    scale = max(1, round(pixels / max(rows * height, columns * width))) if scale is None else scale
    if scale < 1:
        raise InputError(f"scale is {scale}; expected a whole number of pixels, 1 or more")
    line = max(1, scale * min(height, width) // 24)
    tall, wide = scale * height + line, scale * width + line
    canvas = np.full((rows * tall + line, columns * wide + line, channels), _LINE_GREY, np.uint8)
    for index, image in enumerate(array.repeat(scale, axis=1).repeat(scale, axis=2)):
        top, left = index // columns * tall + line, index % columns * wide + line
        canvas[top : top + tall - line, left : left + wide - line] = image
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
