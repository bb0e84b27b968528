"""The picture of bits per dimension over examples."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import array_of, finite_vector
from sde_jax.report.diagram import LIGHT, PAGE_WIDTH, LineLook, Theme, line_look, svg
from sde_jax.report.values import value_text

_MOST_BINS = 60


def likelihood_histogram(
    bits_per_dim: ArrayLike,
    baseline: ArrayLike | None = None,
    standard_error: float | None = None,
    *,
    bound: tuple[float, float | None] | None = None,
    theme: Theme = LIGHT,
    width: int = PAGE_WIDTH,
) -> str:
    """An SVG of the distribution of bits per dimension over examples; the fewer, the likelier the data.

    bits_per_dim: [n], one an example. baseline: [m], another model's, drawn as an outline and its mean, or
    one number, drawn as a line. standard_error: of the mean, in bits per dimension, by default the
    examples' standard deviation over sqrt(n); a band shows it to either side of the mean. bound: the mean of
    the variational bound on the same examples and its standard error, or None for that, drawn as a line.
    Raises InputError where a value is not finite.
    """
    model = finite_vector("bits_per_dim", bits_per_dim)
    other = None if baseline is None else finite_vector("baseline", np.atleast_1d(array_of("baseline", baseline)))
    error = mean_error(model) if standard_error is None else float(standard_error)
    if not (math.isfinite(error) and error >= 0):
        raise InputError(f"standard_error is {error}; expected a finite number of bits per dimension, 0 or more")
    require_bound(bound)
    edges = _bin_edges(model, model if other is None else other)

    def draw(axes: Axes) -> None:
        look, mean = line_look(theme, 0), model.mean()
        axes.hist(model, edges, weights=_percent(model), histtype="stepfilled", color=look["color"], alpha=0.4)
        axes.axvspan(mean - error, mean + error, color=look["color"], alpha=0.25, linewidth=0)
        axes.axvline(mean, label=f"model, mean {value_text(mean, error)}", **look)
        if other is not None:
            _draw_baseline(axes, other, edges, line_look(theme, 1))
        if bound is not None:
            axes.axvline(bound[0], label=f"variational bound, mean {value_text(*bound)}", **line_look(theme, 2))
        axes.xaxis.set_major_locator(MaxNLocator(8 if width > 600 else 4))
        axes.set_xlabel("negative log-likelihood, bits per dimension")
        axes.set_ylabel("examples, %")

    return svg(draw, theme, width)


def mean_error(values: np.ndarray) -> float:
    """The standard error of the mean of independent values [n]: their standard deviation over sqrt(n); 0 of one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def require_bound(bound: tuple[float, float | None] | None) -> None:
    """Raise InputError unless it is a pair (mean, its standard error or None) of finite numbers, or None."""
    if bound is None:
        return
    if len(bound) != 2 or not all(math.isfinite(number) for number in bound if number is not None):
        raise InputError(f"the variational bound is {bound!r}; expected (mean, standard error or None), finite")


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
    axes.axvline(values.mean(), label=f"baseline, mean {value_text(values.mean(), mean_error(values))}", **look)
