"""Several runs on one self-contained HTML page."""

from sde_jax.errors import InputError
from sde_jax.report.compared import Comparison
from sde_jax.report.compared_numbers import number_table
from sde_jax.report.compared_pictures import curve_of_runs, grids_of_runs, metrics_of_runs, points_of_runs
from sde_jax.report.document import document


def render_comparison(comparison: Comparison) -> str:
    """The comparison as one `document`.

    Raises InputError, in one line, where there are fewer than two runs, two of one name, or an array is none of those
    that `Run` says.
    """
    names = [run.name for run in comparison.runs]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"the runs are {', '.join(names) or 'none'}; expected two or more, each once")
    for name, values in comparison.settings:
        if len(values) != len(names):
            raise InputError(f"the setting {name!r} has {len(values)} values; expected one for each run")
    return document(
        "comparison.html.jinja",
        comparison.title,
        names=names,
        remarks=list(comparison.remarks),
        numbers=number_table(comparison.runs, comparison.same_data),
        settings_that_differ=[[name, *values] for name, values in comparison.settings],
        curve=curve_of_runs(comparison.runs),
        metrics=metrics_of_runs(comparison.runs),
        points=points_of_runs(comparison.runs),
        grids=grids_of_runs(comparison.runs),
    )
