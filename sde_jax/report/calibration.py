"""The picture of how well ensembles are calibrated."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sde_jax.report.checks import finite_vector
from sde_jax.report.diagram import LIGHT, printable
from sde_jax.report.raster import raster

_INK, _LINE = LIGHT.muted, LIGHT.series[0]


def calibration_picture(
    coverage: Sequence[tuple[float, float, float]],
    ranks: Sequence[float],
    quantities: Mapping[str, Sequence[float]],
    remarks: Sequence[str] = (),
) -> Image.Image:
    """Three diagrams: how often intervals hold the truth, the ranks of the truth, and those of test quantities.

    coverage: (level, share, standard error), all in 0 .. 1; ranks: counts in bins; quantities: name -> counts in bins.
    Where ensembles are calibrated the first lies on the diagonal and all counts are alike. Raises InputError where a
    number is not finite.
    """
    level, share, error = (finite_vector("coverage", column) for column in zip(*coverage, strict=True))
    counts = finite_vector("ranks", ranks)
    curves = {name: finite_vector(name, values) for name, values in quantities.items()}

    def draw(figure: Figure) -> None:
        intervals, ranked, tested = figure.subplots(1, 3)
        _draw_intervals(intervals, level, share, error)
        ranked.bar((np.arange(len(counts)) + 0.5) / len(counts), _relative(counts), 0.92 / len(counts), color=_LINE)
        for index, (name, values) in enumerate(curves.items()):
            ends, style = np.linspace(0, 1, len(values) + 1), ("-", "--", "-.", ":")[index % 4]
            label, colour = printable(name), LIGHT.series[index % 4]
            tested.stairs(_relative(values), ends, label=label, linestyle=style, color=colour)
        for axes, of in ((ranked, "the truth among members"), (tested, "a test quantity")):
            axes.axhline(1, color=_INK, linewidth=1, linestyle="--")
            axes.set(xlim=(0, 1), ylim=(0, None), xlabel=f"rank of {of}", ylabel="relative frequency")
        if curves:
            tested.legend(fontsize=7, frameon=False, loc="upper left")
        for axes in (intervals, ranked, tested):
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, colors=_INK)
        if remarks:
            figure.supxlabel("\n".join(remarks), fontsize=8, color=_INK)

    return raster(draw, 11, 3.4 + 0.2 * len(remarks), 120)


def _draw_intervals(axes: Axes, level: np.ndarray, share: np.ndarray, error: np.ndarray) -> None:
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle="--", label="calibrated")
    axes.errorbar(level, share, 2 * error, fmt="o-", color=_LINE, capsize=3, label="measured, ± 2 standard errors")
    for at, found in zip(level, share, strict=True):
        axes.annotate(f"{100 * found:.1f}%", (at, found), (4, -12), textcoords="offset points", fontsize=7)
    axes.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="central interval", ylabel="share of truths within")
    axes.legend(fontsize=7, frameon=False, loc="upper left")


def _relative(counts: np.ndarray) -> np.ndarray:
    return counts * len(counts) / counts.sum()
