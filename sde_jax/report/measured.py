"""Diagrams of a measured quantity with its error bars."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import finite_vector, real_vector, same_length
from sde_jax.report.diagram import LIGHT, PAGE_WIDTH, Theme, line_look, mark, printable, svg
from sde_jax.report.plots import scale_losses, step_axis
from sde_jax.report.values import count_text


class Measured(NamedTuple):
    """A quantity measured at n places: [n] each, NaN where not finite; its error bar runs from `low` to `high`."""

    at: ArrayLike
    value: ArrayLike
    low: ArrayLike
    high: ArrayLike


def metric_against_steps(
    series: Mapping[str, Measured], metric: str, *, theme: Theme = LIGHT, width: int = PAGE_WIDTH
) -> str:
    """An SVG of a metric against the training step of the checkpoint, a line for each of `series`, with error bars.

    A value that was not finite is a gap, and counted. The metric's axis is logarithmic where all ends of the error
    bars are positive and span a factor of 10. Raises InputError where a series is not of finite places and real values
    of one length, or none is finite.
    """

    def place(axes: Axes, _: np.ndarray) -> None:
        step_axis(axes, width)

    return _draw(series, metric, place, theme, width)


def metric_against_evaluations(
    series: Mapping[str, Measured], metric: str, *, theme: Theme = LIGHT, width: int = PAGE_WIDTH
) -> str:
    """An SVG of a metric against calls of the network a sample, in logarithmic steps: quality against its price.

    One line for each of `series`, a sampler, with error bars. Raises InputError as `metric_against_steps`, and where
    a number of calls is not positive.
    """

    def place(axes: Axes, at: np.ndarray) -> None:
        if at.min() <= 0:
            raise InputError(f"evaluations of {metric!r} are as few as {at.min():g}; expected more than 0")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_ticks(at, most=14 if width > 600 else 7)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: count_text(count)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("calls of the network a sample")

    return _draw(series, metric, place, theme, width)


def _draw(
    series: Mapping[str, Measured],
    metric: str,
    place: Callable[[Axes, np.ndarray], None],
    theme: Theme,
    width: int,
) -> str:
    if not series:
        raise InputError(f"the diagram of {metric!r} has no series; expected at least one name -> Measured")
    checked = {name: _checked(name, measured) for name, measured in series.items()}

    def draw(axes: Axes) -> None:
        for index, (name, (at, value, low, high)) in enumerate(checked.items()):
            look = {**line_look(theme, index), **mark(index)}
            missing = np.count_nonzero(~np.isfinite(value))
            label = f"{printable(name)} ({missing} not finite)" if missing else printable(name)
            axes.plot(at, value, label=label if missing or len(checked) > 1 else "", **look)
            axes.vlines(at, low, high, color=look["color"], linewidth=1.5)
        place(axes, np.concatenate([measured[0] for measured in checked.values()]))
        scale_losses(axes, np.concatenate([np.concatenate(measured[1:]) for measured in checked.values()]))
        axes.set_ylabel(printable(metric))

    # Beyond two rows of names the diagram grows, so that they take nothing from the axes.
    rows = math.ceil(len(checked) / (2 if width > 600 else 1))
    return svg(draw, theme, width, height=240 + width / 8 + 18 * max(0, rows - 2))


def _checked(name: str, measured: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    at = finite_vector(f"the places of {name!r}", measured.at)
    columns = [real_vector(f"the {part} of {name!r}", getattr(measured, part)) for part in ("value", "low", "high")]
    for column in columns:
        same_length(f"the places of {name!r}", at, "its values", column)
    value, low, high = columns
    if not np.isfinite(value).any():
        raise InputError(f"{name!r} has no finite value among {len(value)}; leave that series out")
    if np.any(low > high):
        raise InputError(f"an error bar of {name!r} ends below its beginning; expected low <= high")
    order = np.argsort(at, kind="stable")
    return at[order], value[order], low[order], high[order]


def _ticks(at: np.ndarray, most: int) -> list[float]:
    """Return those of the places, from the lowest on, that are apart enough to be labelled."""
    places = np.unique(at)
    apart = np.log(places[-1] / places[0]) / most
    ticks = [places[0]]
    for place in places[1:]:
        if np.log(place / ticks[-1]) >= apart:
            ticks.append(place)
    return ticks
