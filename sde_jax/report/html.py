"""One self-contained HTML page about a run: it opens from a file and needs neither a server nor a network."""

from sde_jax.report.contents import Report
from sde_jax.report.diagram_sections import (
    curve_diagram,
    level_diagram,
    likelihood_diagram,
    likelihood_rows,
    noise_level_diagram,
)
from sde_jax.report.document import document
from sde_jax.report.evaluation_sections import evaluation_blocks
from sde_jax.report.image_sections import grid_figures, preview_figures, restoration_figures, trajectory_frames
from sde_jax.report.neighbours import neighbour_figures
from sde_jax.report.point_sections import point_figures
from sde_jax.report.progress import time_rows
from sde_jax.report.settings import setting_rows, summary_row


def render(report: Report) -> str:
    """The report as one `document`.

    Raises InputError, in one line, where an array has another rank, dtype or length than `Report` says, or a
    number is not finite (save the losses of `curve`).
    """
    return document(
        "report.html.jinja",
        report.title,
        summary=[summary_row(row) for row in report.summary],
        grids=grid_figures(report.grids),
        trajectory=trajectory_frames(report.trajectory, report.trajectory_times),
        curve=curve_diagram(report.curve),
        level_losses=level_diagram(report.level_losses),
        time=time_rows(report.time),
        progress=setting_rows("progress", report.progress),
        previews=preview_figures(report.previews),
        restorations=restoration_figures(report.restorations),
        noise_levels=noise_level_diagram(report.noise_levels),
        points=point_figures(report.points, report.columns),
        evaluations=evaluation_blocks(report.evaluations),
        neighbours=neighbour_figures(report.neighbours),
        memorisation=list(report.memorisation),
        likelihood=likelihood_diagram(report),
        likelihood_rows=likelihood_rows(report),
        config=setting_rows("config", report.config),
        environment=setting_rows("environment", report.environment),
    )
