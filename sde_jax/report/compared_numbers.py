"""The numbers of several runs side by side, with their differences."""

from collections.abc import Sequence

import numpy as np

from sde_jax.report.checks import finite_vector
from sde_jax.report.compared import Run
from sde_jax.report.differences import Difference, difference, paired_difference
from sde_jax.report.evaluation_sections import NOT_COMPARABLE, basis_rows, finding_text, metric_name
from sde_jax.report.findings import Finding, findings
from sde_jax.report.histogram import mean_error
from sde_jax.report.settings import summary_row
from sde_jax.report.values import value_text

NONE = "–"


def number_table(runs: Sequence[Run], same_data: bool) -> dict[str, list]:
    """`head` and `body` of the table: a number in every run, and on the same data its difference to that of the first.

    Raises InputError where bits per dimension or a row of evaluations is not what `Run` says.
    """
    first, *others = runs
    head = ["number", first.name]
    for run in others:
        head += [run.name, f"{run.name} \N{MINUS SIGN} {first.name}"]
    body = [*_bits(runs, same_data), *_evaluations(runs, same_data), *_plain(runs)]
    return {"head": [*head, "measured with"], "body": body}


def _row(name: str, texts: Sequence[str], gaps: Sequence[Difference | None], basis: str = "") -> list[str]:
    cells = [name, texts[0]]
    for text, gap in zip(texts[1:], gaps, strict=True):
        cells += [text, NONE if gap is None else str(gap)]
    return [*cells, basis]


def _bits(runs: Sequence[Run], same_data: bool) -> list[list[str]]:
    scored = [None if run.bits_per_dim is None else finite_vector("bits_per_dim", run.bits_per_dim) for run in runs]
    if all(bits is None for bits in scored):
        return []
    means = [None if bits is None else (float(bits.mean()), mean_error(bits) or None) for bits in scored]
    indices = [_indices(run, bits) for run, bits in zip(runs, scored, strict=True)]
    gaps: list[Difference | None] = []
    for bits, mean, index in zip(scored[1:], means[1:], indices[1:], strict=True):
        if not same_data or bits is None or mean is None or scored[0] is None or means[0] is None:
            gaps.append(None)
            continue
        pairs = paired_difference(bits, index, scored[0], indices[0])
        gaps.append(pairs or difference(*mean, *means[0]))
    texts = [NONE if mean is None else value_text(*mean) for mean in means]
    counts = ", ".join("none" if bits is None else f"{len(bits):,}" for bits in scored)
    return [_row("bits per dimension", texts, gaps, f"held-out examples: {counts}")]


def _indices(run: Run, bits: np.ndarray | None) -> np.ndarray:
    if bits is None:
        return np.arange(0)
    return np.arange(len(bits)) if run.index is None else np.asarray(run.index)


def _evaluations(runs: Sequence[Run], same_data: bool) -> list[list[str]]:
    by_run = [_newest(run) for run in runs]
    keys = list(dict.fromkeys(key for found in by_run for key in found))
    return [_evaluation([found.get(key) for found in by_run], same_data) for key in keys]


def _newest(run: Run) -> dict[tuple[object, ...], Finding]:
    """Return the run's newest finding of each kind that another run may have too."""
    newest: dict[tuple[object, ...], Finding] = {}
    for one in findings(run.evaluations):
        key = (*one.basis, one.sampler, one.steps, one.samples, one.average)
        if key not in newest or newest[key].checkpoint_step <= one.checkpoint_step:
            newest[key] = one
    if run.bits_per_dim is not None:  # said already, example by example
        newest = {key: one for key, one in newest.items() if one.metric != "bits_per_dim"}
    return newest


def _evaluation(found: Sequence[Finding | None], same_data: bool) -> list[str]:
    one = next(one for one in found if one is not None)
    steps = f"{one.steps:,} steps" if one.steps else None
    name = ", ".join(filter(None, [metric_name(one.metric), one.sampler, steps, one.average]))
    basis = [f"{one.samples:,} samples", *basis_rows(one).values()]
    basis += [NOT_COMPARABLE] if one.comparable is False else []
    texts = [NONE if each is None else finding_text(each) for each in found]
    gaps = [_gap(each, found[0]) if same_data else None for each in found[1:]]
    return _row(name, texts, gaps, "; ".join(basis))


def _gap(one: Finding | None, first: Finding | None) -> Difference | None:
    if one is None or first is None or one.value is None or first.value is None:
        return None
    return difference(one.value, one.standard_error, first.value, first.standard_error)


def _plain(runs: Sequence[Run]) -> list[list[str]]:
    names = dict.fromkeys(name for run in runs for name in run.numbers)
    rows = []
    for name in names:
        first, *texts = [_number(run, name) for run in runs]
        rows.append([name, first, *(cell for text in texts for cell in (text, "")), ""])
    return rows


def _number(run: Run, name: str) -> str:
    return summary_row((name, run.numbers[name], ""))["value"] if name in run.numbers else NONE
