"""The diagrams of a training: its losses against the step and against the noise level."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import finite_vector, real_vector, same_length
from sde_jax.report.diagram import LIGHT, PAGE_WIDTH, LineLook, Theme, line_look, printable, svg

_FEW_POINTS = 25
_MOST_DOTS = 800
_MOST_BLOCKS = 400
_LOG_RATIO = 10.0


def training_curve(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, theme: Theme = LIGHT, width: int = PAGE_WIDTH
) -> str:
    """An SVG of losses against the training step: a light dot for each and a line for their running mean.

    series: name -> (steps [n], increasing; loss [n]). A loss that is not finite leaves a gap and the legend
    counts it. Up to 25 values are joined as they are; the mean of more is over a window of a twentieth of
    the series. The loss axis is logarithmic where the losses are positive and span a factor of 10. Of more
    than 800 values, evenly chosen ones are dots; all enter the mean. Raises InputError where steps and
    losses are not vectors of one length, the steps do not increase, or a series has no finite loss.
    """
    if not series:
        raise InputError("the training curve has no series; expected at least one name -> (steps, loss)")
    curves = {name: _curve(name, pair) for name, pair in series.items()}

    def draw(axes: Axes) -> None:
        for index, (name, (steps, loss)) in enumerate(curves.items()):
            missing = np.count_nonzero(~np.isfinite(loss))
            label = f"{printable(name)} ({missing} not finite)" if missing else printable(name)
            _draw_curve(axes, steps, loss, label, line_look(theme, index))
        scale_losses(axes, np.concatenate([loss for _, loss in curves.values()]))
        step_axis(axes, width)

    return svg(draw, theme, width)


def loss_by_noise_level(log_snr: ArrayLike, loss: ArrayLike, *, theme: Theme = LIGHT, width: int = PAGE_WIDTH) -> str:
    """An SVG of the loss against the noise level at which it was measured.

    log_snr: [n], ln(alpha^2 / sigma^2), dimensionless, in any order. loss: [n]. Up to 50 values are joined
    as they are; of more, each is a dot (800 of them at most, evenly chosen) and the line is the mean within
    bins of equally many values. Raises InputError where the two are not finite vectors of one length.
    """
    levels, losses = finite_vector("log_snr", log_snr), finite_vector("loss", loss)
    same_length("log_snr", levels, "loss", losses)
    order = np.argsort(levels, kind="stable")
    levels, losses = levels[order], losses[order]

    def draw(axes: Axes) -> None:
        look = line_look(theme, 0)
        if len(levels) <= 2 * _FEW_POINTS:
            axes.plot(levels, losses, marker="o", markersize=4, **look)
        else:
            bins = min(24, len(levels) // 10)
            shown = evenly(len(levels), _MOST_DOTS)
            scattered(axes, levels[shown], losses[shown], look["color"])
            axes.plot([], [], "o", color=look["color"], alpha=0.6, markersize=3, label="one measurement")
            means = block_means(levels, bins), block_means(losses, bins)
            axes.plot(*means, marker="o", markersize=4, label=f"mean in {bins} bins of equal count", **look)
        scale_losses(axes, losses)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("← noise\N{EM SPACE}\N{EM SPACE}log SNR, ln(α²/σ²)\N{EM SPACE}\N{EM SPACE}data →")
        axes.set_ylabel("loss")

    return svg(draw, theme, width)


def _curve(name: str, pair: tuple[ArrayLike, ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"the series {name!r} is a {type(pair).__name__}; expected a pair (steps, loss)")
    at, values = (
        finite_vector(f"the steps of {name!r}", pair[0]),
        real_vector(f"the loss of {name!r}", pair[1]),
    )
    same_length(f"the steps of {name!r}", at, "its loss", values)
    if np.any(np.diff(at) <= 0):
        raise InputError(f"the steps of {name!r} do not increase at index {np.argmax(np.diff(at) <= 0) + 1}; sort them")
    if not np.isfinite(values).any():
        raise InputError(f"the loss of {name!r} has no finite value among {len(values)}; leave that series out")
    return at, np.where(np.isfinite(values), values, np.nan)


def _draw_curve(axes: Axes, steps: np.ndarray, loss: np.ndarray, label: str, look: LineLook) -> None:
    if len(steps) <= _FEW_POINTS:
        axes.plot(steps, loss, marker="o", markersize=4, label=label, **look)
        return
    blocks = min(_MOST_BLOCKS, len(steps))
    shown = evenly(len(steps), _MOST_DOTS)
    scattered(axes, steps[shown], loss[shown], look["color"])
    axes.plot(block_means(steps, blocks), _running_mean(block_means(loss, blocks)), label=label, **look)


def scattered(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, alpha: float = 0.42) -> None:
    """Draw light dots at (x, y), both [n]."""
    # Lines of no length with round ends: one path for all the dots, a fifth of the size of as many markers.
    gap = np.full_like(x, np.nan)
    across, up = np.stack([x, x, gap], 1).ravel(), np.stack([y, y, gap], 1).ravel()
    axes.plot(across, up, color=colour, alpha=alpha, linewidth=3, solid_capstyle="round")


def evenly(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the indices below `count`, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).astype(int))


def step_axis(axes: Axes, width: int) -> None:
    """Name the axes of losses against the training step, with as many ticks as `width` has room for."""
    axes.xaxis.set_major_locator(MaxNLocator(8 if width > 600 else 4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.10g}"))
    axes.set_xlabel("training step")
    axes.set_ylabel("loss")


def block_means(values: np.ndarray, blocks: int) -> np.ndarray:
    """The means of the finite values [n] within blocks of equal size, [blocks]; NaN where there are none."""
    starts = np.arange(blocks) * len(values) // blocks
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite.astype(float), starts)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _running_mean(values: np.ndarray) -> np.ndarray:
    kernel = np.hanning(max(3, len(values) // 20) + 2)[1:-1]
    finite = np.isfinite(values)
    weights = np.convolve(finite.astype(float), kernel, "same")
    sums = np.convolve(np.where(finite, values, 0.0), kernel, "same")
    return np.where(finite, sums / np.where(finite, weights, 1.0), np.nan)


def scale_losses(axes: Axes, losses: np.ndarray) -> None:
    """Make the axis of losses logarithmic where they are positive and span a factor of 10."""
    low, high = np.nanmin(losses), np.nanmax(losses)
    if low <= 0 or high / low < _LOG_RATIO:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
