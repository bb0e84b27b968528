"""Diagrams as pictures, for files beside a run."""

import io
from collections.abc import Callable

import matplotlib
from matplotlib.figure import Figure
from PIL import Image


def raster(draw: Callable[[Figure], None], width: float, height: float, dpi: int = 100) -> Image.Image:
    """Return the RGB picture of the figure, of so many inches, that `draw` fills; depends on its arguments alone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")
