"""Diagrams of data that are vectors of real numbers: points in the plane, and each column's distribution."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import array_of, finite_vector
from sde_jax.report.diagram import LIGHT, Theme, line_look, printable, svg
from sde_jax.report.plots import evenly, scattered

POINTS_WIDTH = 440
"""The width in CSS pixels that a page gives to a scatter plot and to the histogram of a column."""
_MOST_POINTS = 2000
_MOST_BINS = 40
_ASIDE = 0.005
"""Half the size of a cross, of the range of the points."""


def scatter(
    samples: ArrayLike,
    held_out: ArrayLike | None = None,
    names: Sequence[str] = ("first number", "second number"),
    *,
    theme: Theme = LIGHT,
    width: int = POINTS_WIDTH,
) -> str:
    """An SVG of points in the plane: samples as dots above held-out examples as crosses, on one scale.

    samples: [n, 2]; held_out: [m, 2]. Of more than 2,000 either has 2,000 drawn, evenly chosen, and the legend says so.
    names: of the two numbers. Raises InputError where a number is not finite or the arrays have other shapes.
    """
    drawn = {"samples": points("samples", samples, 2)}
    if held_out is not None:
        drawn = {"held-out examples": points("held-out examples", held_out, 2), **drawn}
    together = np.concatenate(list(drawn.values()))
    reach = _ASIDE * (np.ptp(together, axis=0).max() or 1.0)

    def draw(axes: Axes) -> None:
        for name, values in drawn.items():
            colour = line_look(theme, name != "samples")["color"]
            chosen = values[evenly(len(values), _MOST_POINTS)]
            label = name if len(chosen) == len(values) else f"{name}, {len(chosen):,} of {len(values):,}"
            if name == "samples":
                scattered(axes, chosen[:, 0], chosen[:, 1], colour, alpha=0.7)
                axes.plot([], [], "o", color=colour, markersize=3, label=label)
            else:
                _crosses(axes, chosen, reach, colour)
                axes.plot([], [], "x", color=colour, markersize=5, label=label)
        axes.set_aspect("equal", adjustable="datalim")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(printable(names[0]))
        axes.set_ylabel(printable(names[1]))

    return svg(draw, theme, width, height=width)


def marginals(
    samples: ArrayLike, held_out: ArrayLike | None, name: str, *, theme: Theme = LIGHT, width: int = POINTS_WIDTH
) -> str:
    """An SVG of the distribution of one column: of samples [n] filled, of held-out examples [m] an outline.

    Bins are of one width over the range of both; the ends beyond the 0.1% and 99.9% quantiles are counted in the
    outermost. Raises InputError where a number is not finite.
    """
    drawn = {"samples": finite_vector("samples", samples)}
    if held_out is not None:
        drawn["held-out examples"] = finite_vector("held-out examples", held_out)
    low, high = np.quantile(np.concatenate(list(drawn.values())), [0.001, 0.999])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low, high, min(_MOST_BINS, max(8, round(2 * len(drawn["samples"]) ** (1 / 3)))) + 1)

    def draw(axes: Axes) -> None:
        for index, (label, values) in enumerate(drawn.items()):
            colour, share = line_look(theme, index)["color"], np.full(len(values), 100 / len(values))
            kind = {"histtype": "step", "linewidth": 1.8} if index else {"histtype": "stepfilled", "alpha": 0.4}
            axes.hist(np.clip(values, low, high), edges.tolist(), weights=share, color=colour, label=label, **kind)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(printable(name))
        axes.set_ylabel("examples, %")

    return svg(draw, theme, width)


def points(name: str, values: ArrayLike, columns: int | None = None) -> np.ndarray:
    """The values as float64 [n, d], n and d >= 1, all finite; raises InputError where they are not, or d is another."""
    array = array_of(name, values)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "iuf" or columns not in (None, array.shape[1]):
        raise InputError(f"{name} are {array.dtype} {list(array.shape)}; expected numbers [n, {columns or 'd'}]")
    broken = np.count_nonzero(~np.isfinite(array))
    if broken:
        raise InputError(f"{name} have {broken} numbers that are not finite; leave them out")
    return array.astype(np.float64)


def _crosses(axes: Axes, at: np.ndarray, reach: float, colour: str) -> None:
    # One path for all the crosses: a fifth of the size of as many markers.
    x, y = at.T
    gap = np.full_like(x, np.nan)
    across = np.stack([x - reach, x + reach, gap, x - reach, x + reach, gap], 1).ravel()
    up = np.stack([y - reach, y + reach, gap, y + reach, y - reach, gap], 1).ravel()
    axes.plot(across, up, color=colour, alpha=0.7, linewidth=1)
