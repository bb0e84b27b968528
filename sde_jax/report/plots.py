"""Pictures of a run: pure functions from arrays to one self-contained picture.

Grids of images are `PIL.Image`s; diagrams are SVG documents, so that they stay sharp at any size. Every
diagram takes a `theme` (LIGHT or DARK: its colours, on a transparent ground) and a `width` in CSS pixels,
the width it is meant to be shown at: text is 13 pixels high there. Series differ by line style as well as
by colour, and the colours are after Okabe and Ito (2008), which colour-blind readers can tell apart.
matplotlib's global state is as before after each call.
"""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike
from PIL import Image

from sde_jax.errors import InputError
from sde_jax.report.checks import array_of, finite_vector, image_batch, real_vector, same_length
from sde_jax.report.diagram import LIGHT, PAGE_WIDTH, LineLook, Theme, line_look, svg

_LINE_GREY = 128
_FEW_POINTS = 25
_MOST_DOTS = 800
_MOST_BLOCKS = 400
_MOST_BINS = 60
_LOG_RATIO = 10.0


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
            label = f"{_printable(name)} ({missing} not finite)" if missing else _printable(name)
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
            _dots(axes, levels, losses, look["color"])
            axes.plot([], [], "o", color=look["color"], alpha=0.6, markersize=3, label="one measurement")
            means = block_means(levels, bins), block_means(losses, bins)
            axes.plot(*means, marker="o", markersize=4, label=f"mean in {bins} bins of equal count", **look)
        scale_losses(axes, losses)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("← noise\N{EM SPACE}\N{EM SPACE}log SNR, ln(α²/σ²)\N{EM SPACE}\N{EM SPACE}data →")
        axes.set_ylabel("loss")

    return svg(draw, theme, width)


def likelihood_histogram(
    bits_per_dim: ArrayLike,
    baseline: ArrayLike | None = None,
    standard_error: float | None = None,
    *,
    theme: Theme = LIGHT,
    width: int = PAGE_WIDTH,
) -> str:
    """An SVG of the distribution of bits per dimension over examples; the fewer, the likelier the data.

    bits_per_dim: [n], one an example. baseline: [m], another model's, drawn as an outline and its mean, or
    one number, drawn as a line. standard_error: of the mean, in bits per dimension, by default the
    examples' standard deviation over sqrt(n); a band shows it to either side of the mean. Raises InputError
    where a value is not finite.
    """
    model = finite_vector("bits_per_dim", bits_per_dim)
    other = None if baseline is None else finite_vector("baseline", np.atleast_1d(array_of("baseline", baseline)))
    error = _standard_error(model) if standard_error is None else float(standard_error)
    if not (math.isfinite(error) and error >= 0):
        raise InputError(f"standard_error is {error}; expected a finite number of bits per dimension, 0 or more")
    edges = _bin_edges(model, model if other is None else other)

    def draw(axes: Axes) -> None:
        look, mean = line_look(theme, 0), model.mean()
        axes.hist(model, edges, weights=_percent(model), histtype="stepfilled", color=look["color"], alpha=0.4)
        axes.axvspan(mean - error, mean + error, color=look["color"], alpha=0.25, linewidth=0)
        axes.axvline(mean, label=f"model, mean {mean_text(model, error)}", **look)
        if other is not None:
            _draw_baseline(axes, other, edges, line_look(theme, 1))
        axes.xaxis.set_major_locator(MaxNLocator(8 if width > 600 else 4))
        axes.set_xlabel("negative log-likelihood, bits per dimension")
        axes.set_ylabel("examples, %")

    return svg(draw, theme, width)


def mean_text(values: np.ndarray, standard_error: float) -> str:
    """The mean of values [n] to the two digits that its standard error supports, such as "3.412 ± 0.012"."""
    mean = values.mean()
    if standard_error <= 0:
        return f"{mean:.4g}"
    digits = min(8, max(0, 1 - math.floor(math.log10(standard_error))))
    return f"{mean:.{digits}f} ± {standard_error:.{digits}f}"


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
    _dots(axes, steps, loss, look["color"])
    axes.plot(block_means(steps, blocks), _running_mean(block_means(loss, blocks)), label=label, **look)


def _dots(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    chosen = np.unique(np.linspace(0, len(x) - 1, _MOST_DOTS).astype(int))
    x, y = x[chosen], y[chosen]
    # Lines of no length with round ends: one path for all the dots, a fifth of the size of as many markers.
    gap = np.full_like(x, np.nan)
    across, up = np.stack([x, x, gap], 1).ravel(), np.stack([y, y, gap], 1).ravel()
    axes.plot(across, up, color=colour, alpha=0.42, linewidth=3, solid_capstyle="round")


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


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def _bin_edges(first: np.ndarray, second: np.ndarray) -> list[float]:
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    if high - low < 1e-6 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    count = min(_MOST_BINS, max(8, round(2 * len(first) ** (1 / 3))))
    return np.linspace(low, high, count + 1).tolist()


def _percent(values: np.ndarray) -> np.ndarray:
    return np.full(len(values), 100 / len(values))


def _draw_baseline(axes: Axes, values: np.ndarray, edges: list[float], look: LineLook) -> None:
    if len(values) > 1:
        axes.hist(values, edges, weights=_percent(values), histtype="step", color=look["color"], linewidth=1.5)
    axes.axvline(values.mean(), label=f"baseline, mean {mean_text(values, _standard_error(values))}", **look)


def _printable(name: str) -> str:
    # XML cannot hold a control character, and matplotlib drops a label that begins with an underscore.
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return "\N{ZERO WIDTH SPACE}" + shown if shown.startswith("_") else shown
