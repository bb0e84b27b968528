"""The pictures of several runs, over each other and side by side."""

from collections.abc import Sequence

from sde_jax.report.compared import Run
from sde_jax.report.diagram_sections import curve_diagram
from sde_jax.report.evaluation_sections import basis_rows, metric_diagrams, metric_name
from sde_jax.report.findings import Finding, findings
from sde_jax.report.image_sections import grid_figures
from sde_jax.report.measured import Measured
from sde_jax.report.point_sections import point_figures
from sde_jax.report.quality import over_checkpoints, quality
from sde_jax.report.settings import setting_rows


def curve_of_runs(runs: Sequence[Run]) -> dict[str, str] | None:
    """The training curves over each other; None where no run has one."""
    return curve_diagram({run.name: run.curve for run in runs if run.curve is not None})


def metrics_of_runs(runs: Sequence[Run]) -> list[dict[str, object]]:
    """For each metric and basis of any run, its diagrams with a line for each run; those of no line left out."""
    groups: dict[tuple[object, ...], list[list[Finding]]] = {}
    for place, run in enumerate(runs):
        for one in findings(run.evaluations):
            groups.setdefault(one.basis, [[] for _ in runs])[place].append(one)
    blocks = [_metric([run.name for run in runs], by_run) for by_run in groups.values()]
    return [block for block in blocks if block["diagrams"]]


def _metric(names: Sequence[str], by_run: Sequence[Sequence[Finding]]) -> dict[str, object]:
    one = next(one for found in by_run for one in found)
    named = list(zip(names, by_run, strict=True))
    checkpoints = {key: line for name, found in named for key, line in _named(name, over_checkpoints(found)).items()}
    calls = {key: line for name, found in named for key, line in _named(name, quality(found)).items()}
    return {
        "heading": metric_name(one.metric),
        "basis": setting_rows("evaluations", basis_rows(one)),
        "diagrams": metric_diagrams(metric_name(one.metric), checkpoints, calls),
    }


def _named(run: str, lines: dict[str, Measured]) -> dict[str, Measured]:
    return {f"{run}: {name}": line for name, line in lines.items()}


def points_of_runs(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Figures of samples that are vectors, sampler by sampler."""
    samplers = dict.fromkeys(name for run in runs for name in run.points)
    drawn = {f"{run.name}, sampler {name}": run.points[name] for name in samplers for run in runs if name in run.points}
    return point_figures(drawn, ())


def grids_of_runs(runs: Sequence[Run]) -> list[dict[str, object]]:
    """For each sampler a block of figures, one for each run that has drawn with it; as many images of each."""
    samplers = dict.fromkeys(name for run in runs for name in run.grids)
    blocks = []
    for sampler in samplers:
        grids = {run.name: run.grids[sampler] for run in runs if sampler in run.grids}
        count = min(len(images) for images in grids.values())  # type: ignore[arg-type]
        shown = {f"{name}, sampler {sampler}": images[:count] for name, images in grids.items()}  # type: ignore[index]
        blocks.append({"heading": f"Sampler {sampler}", "figures": grid_figures(shown)})
    return blocks
