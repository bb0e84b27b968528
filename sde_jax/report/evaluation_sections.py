"""What a page shows of evaluations: each metric over checkpoints, against its price, and as a table."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sde_jax.report.diagram import PAGE_WIDTH
from sde_jax.report.embedding import diagram
from sde_jax.report.findings import Finding, by_basis, findings
from sde_jax.report.measured import Measured, metric_against_evaluations, metric_against_steps
from sde_jax.report.quality import over_checkpoints, quality
from sde_jax.report.scatter import POINTS_WIDTH
from sde_jax.report.settings import setting_rows
from sde_jax.report.values import count_text, error_digits, value_text

NOT_COMPARABLE = "not comparable with published FIDs"
_HEADS = ("checkpoint", "of", "calls", "value", "95% interval", "samples", "passes", "seed", "further", "notes")


def evaluation_blocks(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """A block for each metric and what it was measured with; raises InputError where a row is none of `Finding`.

    Each has a `heading`, its `basis` (features, protocol, reference), words where that is `incomparable`, `notes` (the
    warnings, to which the table's rows refer by number), `diagrams`, and the table's `head` and `body`.
    """
    return [_block(group) for group in by_basis(findings(rows))]


def evaluation_summary(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The values of the newest checkpoint as rows of `Report.summary`: of a sampler's several, that of most calls."""
    found = [one for one in findings(rows) if one.value is not None]
    newest = max((one.checkpoint_step for one in found), default=0)
    last = {}
    for one in sorted(found, key=lambda one: one.evaluations or 0):
        if one.checkpoint_step == newest and one.sampler:
            last[(one.metric, one.sampler)] = one
    return [(f"{metric_name(one.metric)}, {one.sampler}", finding_text(one), _explained(one)) for one in last.values()]


def _explained(one: Finding) -> str:
    calls = f", {count_text(one.evaluations)} calls a sample" if one.evaluations else ""
    return f"{one.samples:,} samples{calls}{'; ' + NOT_COMPARABLE if one.comparable is False else ''}"


def metric_diagrams(metric: str, checkpoints: Mapping[str, Measured], calls: Mapping[str, Measured]) -> list[dict]:
    """The diagrams of a metric over checkpoints and against evaluations, of those that have series."""
    kinds = (
        (metric_against_steps, checkpoints, "the training step", "Over checkpoints"),
        (
            metric_against_evaluations,
            calls,
            "calls of the network a sample",
            "Quality against evaluations, of the newest checkpoint",
        ),
    )
    there = [kind for kind in kinds if kind[1]]
    wide = PAGE_WIDTH if len(there) == 1 else POINTS_WIDTH
    return [
        {
            **diagram(functools.partial(draw, series, metric), wide),
            "alt": _alt(metric, series, against),
            "caption": caption,
        }
        for draw, series, against, caption in there
    ]


def metric_name(metric: str) -> str:
    """The metric's name as words."""
    return metric.replace("_", " ")


def finding_text(one: Finding) -> str:
    """The value with its standard error, in words where it was not finite."""
    return "not finite" if one.value is None else value_text(one.value, one.standard_error)


def basis_rows(one: Finding) -> dict[str, str]:
    """With what the number was measured, by name; nothing of a number that needs neither features nor a reference."""
    rows = {"features": one.features, "protocol": one.protocol, "reference": _reference(one)}
    return {name: text for name, text in rows.items() if text is not None}


def _reference(one: Finding) -> str | None:
    if one.reference is None and one.reference_split is None:
        return None
    count = "" if one.reference_samples is None else f", {one.reference_samples:,} examples"
    digest = "" if one.reference is None else f", sha256 {one.reference[:12]}…"
    return f"{(one.reference_split or 'a file').replace('_', ' ')}{count}{digest}"


def _block(group: Sequence[Finding]) -> dict[str, object]:
    first, notes = group[0], list(dict.fromkeys(note for one in group for note in one.warnings))
    body = [_cells(one, notes) for one in group]
    shown = [i for i in range(len(_HEADS)) if any(cells[i] for cells in body)]
    name = metric_name(first.metric)
    return {
        "heading": name,
        "basis": setting_rows("evaluations", basis_rows(first)),
        "incomparable": NOT_COMPARABLE if first.comparable is False else "",
        "notes": notes,
        "diagrams": metric_diagrams(name, over_checkpoints(group), quality(group)),
        "head": [_HEADS[i] for i in shown],
        "body": [[cells[i] for i in shown] for cells in body],
    }


def _cells(one: Finding, notes: Sequence[str]) -> list[str]:
    grid = f", {one.steps:,} steps" if one.steps is not None else ""
    average = f", average {one.average}" if one.average else ""
    return [
        f"{one.checkpoint_step:,}",
        f"{one.sampler or 'held-out data'}{grid}{average}",
        count_text(one.evaluations) if one.evaluations else "",
        finding_text(one),
        _interval_text(one.interval),
        f"{one.samples:,}",
        f"{one.passes:,}" if one.passes else "",
        "" if one.seed is None else str(one.seed),
        "; ".join(f"{metric_name(name)} {number:.4g}" for name, number in one.details.items() if number is not None),
        ", ".join(str(1 + notes.index(note)) for note in one.warnings),
    ]


def _interval_text(interval: Sequence[float] | None) -> str:
    if not interval:
        return ""
    low, high = interval
    if high <= low:
        return value_text(low)
    digits = error_digits((high - low) / 2)
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _alt(metric: str, series: Mapping[str, Measured], against: str) -> str:
    parts = []
    for name, line in series.items():
        at, value = np.asarray(line.at, float), np.asarray(line.value, float)
        ordered = sorted((a, v) for a, v in zip(at, value, strict=True) if np.isfinite(v))
        first, last = ordered[0], ordered[-1]
        parts.append(f"{name} {first[1]:.4g} at {count_text(first[0])}, {last[1]:.4g} at {count_text(last[0])}")
    return f"{metric} against {against}: {'; '.join(parts)}"
