"""The picture of losses at several noise levels while they are trained."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import array_of, finite_vector
from sde_jax.report.diagram import LIGHT, PAGE_WIDTH, Theme, line_look, svg
from sde_jax.report.plots import block_means, scale_losses, step_axis

_MOST_POINTS = 60


def losses_by_noise_level(
    steps: ArrayLike, edges: ArrayLike, losses: ArrayLike, *, theme: Theme = LIGHT, width: int = PAGE_WIDTH
) -> str:
    """An SVG of the loss at each noise level against the training step: a line for each level.

    steps: [n], increasing. edges: [k + 1], increasing: level i is log SNR, ln(alpha^2 / sigma^2), from edges[i] to
    edges[i + 1]. losses: [n, k], NaN where there is none. Of more than 60 steps the line is of means over blocks of
    steps. The colours run from noise to data; lines differ in style too. A level without a loss has no line. Raises
    InputError where the shapes do not fit, steps or edges do not increase, or no loss is finite.
    """
    at, between = finite_vector("steps", steps), finite_vector("edges", edges)
    values = array_of("losses", losses)
    if values.shape != (len(at), len(between) - 1) or values.dtype.kind not in "iuf":
        raise InputError(f"losses are {values.dtype} {list(values.shape)}; expected numbers [steps, edges - 1]")
    if np.any(np.diff(at) <= 0) or np.any(np.diff(between) <= 0):
        raise InputError("steps or edges do not increase; sort them")
    values = np.where(np.isfinite(values), values, np.nan).astype(float)
    if np.isnan(values).all():
        raise InputError(f"losses have no finite value among {values.size}; leave them out")
    blocks = min(_MOST_POINTS, len(at))

    def draw(axes: Axes) -> None:
        colours = _colours(theme, values.shape[1])
        for i, colour in enumerate(colours):
            if np.isfinite(values[:, i]).any():
                label = f"{between[i]:.2g} to {between[i + 1]:.2g}".replace("-", "\N{MINUS SIGN}")
                look = {**line_look(theme, i), "color": colour}
                marker = "o" if np.isfinite(values[:, i]).sum() == 1 else None
                axes.plot(
                    block_means(at, blocks), block_means(values[:, i], blocks), label=label, marker=marker, **look
                )
        scale_losses(axes, values)
        step_axis(axes, width)

    return svg(draw, theme, width, legend="log SNR, ln(α²/σ²)")


def _colours(theme: Theme, count: int) -> np.ndarray:
    """Return colours of monotone lightness that stand out from the theme's ground."""
    low, high = (0.0, 0.85) if theme is LIGHT else (0.3, 1.0)
    return matplotlib.colormaps["viridis"](np.linspace(low, high, count))
