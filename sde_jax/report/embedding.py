"""Pictures as parts of a page: data URIs."""

import base64
import io
from collections.abc import Callable

from PIL.Image import Image

from sde_jax.report.diagram import DARK, LIGHT, PAGE_WIDTH

NARROW_WIDTH = 380
"""The width in CSS pixels of a diagram on a small screen, and of one among several in a row."""


def png(picture: Image) -> str:
    """The picture as the URI of a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return _data_uri("image/png", buffer.getvalue())


def diagram(draw: Callable[..., str], wide: int = PAGE_WIDTH) -> dict[str, str]:
    """The URIs of a diagram's forms for light and dark, wide and narrow.

    draw: (theme=, width=) -> SVG. wide: the width of the wide form.
    """
    return {
        f"{width_name}_{theme_name}": _data_uri("image/svg+xml", draw(theme=theme, width=width).encode())
        for theme_name, theme in (("light", LIGHT), ("dark", DARK))
        for width_name, width in (("wide", wide), ("narrow", NARROW_WIDTH))
    }


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
