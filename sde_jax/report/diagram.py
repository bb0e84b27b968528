"""How every diagram of a report looks: its colours, its type, and its SVG document.

Diagrams are pure functions from arrays to SVG documents, so that they stay sharp at any size. Every one takes a
`theme` (LIGHT or DARK: its colours, on a transparent ground) and a `width` in CSS pixels, the width it is meant to be
shown at: text is 13 pixels high there. Series differ by line style or mark as well as by colour, and the colours are
after Okabe and Ito (2008), which colour-blind readers can tell apart. matplotlib's global state is as before after
each call.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours of a diagram: `ink` for names, `muted` for axes, `hairline` for the grid, `series` for data."""

    ink: str
    muted: str
    hairline: str
    series: tuple[str, ...]


LIGHT = Theme("#16191d", "#5c636b", "#e4e7eb", ("#0072b2", "#d55e00", "#009e73", "#b5568c"))
DARK = Theme("#eceef0", "#a0a7af", "#2c3138", ("#56b4e9", "#f0a02b", "#2cc295", "#e39ac5"))
PAGE_WIDTH = 880
"""The width in CSS pixels at which a page shows its diagrams."""


class LineLook(TypedDict):
    """What tells one series from another: never the colour alone."""

    color: str
    linestyle: str
    linewidth: float


class MarkLook(TypedDict):
    """What tells single points of one series from those of another."""

    marker: str
    markersize: float


_LINE_STYLES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
# Text stays text, so that the browser sets it in the reader's own system font.
_PAGE_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_SETTINGS: dict[Any, object] = {
    "font.family": "DejaVu Sans",
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "sde_jax",  # the same run gives the same bytes
    "text.parse_math": False,  # a series may be called "$x"
}


def line_look(theme: Theme, index: int) -> LineLook:
    """The look of the series at this index; sixteen differ before one returns."""
    shift = index // len(theme.series)
    return {
        "color": theme.series[index % len(theme.series)],
        "linestyle": _LINE_STYLES[(index + shift) % len(_LINE_STYLES)],
        "linewidth": 2.0,
    }


def mark(index: int) -> MarkLook:
    """The mark of the series at this index; seven differ before one returns."""
    return {"marker": _MARKS[index % len(_MARKS)], "markersize": 6.0}


def printable(name: str) -> str:
    """The name as XML and a legend can hold it."""
    # XML cannot hold a control character, and matplotlib drops a label that begins with an underscore.
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return "\N{ZERO WIDTH SPACE}" + shown if shown.startswith("_") else shown


def svg(draw: Callable[[Axes], None], theme: Theme, width: int, legend: str = "", height: float | None = None) -> str:
    """The SVG document of the axes that `draw` fills, `width` CSS pixels wide and 240 + width / 8 high, or `height`.

    `legend` heads the names of the series, which are short then: twice as many stand in a row. Text is 13 pixels
    high, the ground transparent. matplotlib's settings, the user's own included, are set aside for the time of the
    call, so that a diagram depends on its arguments alone.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        # At 72 dots an inch a point is a pixel.
        figure = Figure(figsize=(width / 72, (height or 240 + width / 8) / 72), dpi=72, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        _dress(figure, axes, theme, legend, columns=(2 if width > 600 else 1) * (2 if legend else 1))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue().replace("'DejaVu Sans'", _PAGE_FONTS)


def _dress(figure: Figure, axes: Axes, theme: Theme, legend: str, columns: int) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.grid(axis="y", color=theme.hairline, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=theme.muted, labelsize=13, length=0, pad=6)
    axes.tick_params(axis="x", length=4)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=theme.muted, size=13)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        drawn = figure.legend(
            handles,
            labels,
            title=legend or None,
            loc="outside upper left",
            ncols=columns,
            fontsize=13,
            labelcolor=theme.ink,
            frameon=False,
            borderaxespad=0.2,
            alignment="left",
            title_fontsize=13,
        )
        drawn.get_title().set_color(theme.muted)
