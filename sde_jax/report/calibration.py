"""The picture of how well ensembles are calibrated."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sde_jax.report.checks import finite_vector, same_length
from sde_jax.report.diagram import LIGHT

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
    same_length("levels", level, "shares", share)
    counts = finite_vector("ranks", ranks)
    curves = {name: finite_vector(name, values) for name, values in quantities.items()}

    def intervals(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle="--", label="calibrated")
        axes.errorbar(level, share, 2 * error, fmt="o-", color=_LINE, capsize=3, label="measured, ± 2 s.e.")
        for at, found in zip(level, share, strict=True):
            axes.annotate(f"{100 * found:.1f}%", (at, found), (4, -12), textcoords="offset points", fontsize=7)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="interval", ylabel="share of truths within")
        axes.legend(fontsize=7, frameon=False, loc="upper left")

    def ranked(axes: Axes) -> None:
        axes.bar((np.arange(len(counts)) + 0.5) / len(counts), _relative(counts), 0.92 / len(counts), color=_LINE)
        axes.axhline(1, color=_INK, linewidth=1, linestyle="--")
        axes.set(xlim=(0, 1), xlabel="rank of the truth among members", ylabel="relative frequency")

    def tested(axes: Axes) -> None:
        for index, (name, values) in enumerate(curves.items()):
            ends, style = np.linspace(0, 1, len(values) + 1), ("-", "--", "-.", ":")[index % 4]
            axes.stairs(_relative(values), ends, label=name, linestyle=style, color=LIGHT.series[index % 4])
        axes.axhline(1, color=_INK, linewidth=1, linestyle="--")
        axes.set(xlim=(0, 1), ylim=(0, None), xlabel="rank of a test quantity", ylabel="relative frequency")
        axes.legend(fontsize=7, frameon=False)

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        figure = Figure(figsize=(11, 3.4 + 0.2 * len(remarks)), dpi=120, layout="constrained")
        for axes, draw in zip(figure.subplots(1, 3), (intervals, ranked, tested), strict=True):
            draw(axes)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, colors=_INK)
        if remarks:
            figure.supxlabel("\n".join(remarks), fontsize=8, color=_INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _relative(counts: np.ndarray) -> np.ndarray:
    return counts * len(counts) / counts.sum()
