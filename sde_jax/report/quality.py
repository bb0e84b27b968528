"""Quality against evaluations: what a sampler's calls of the network buy."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sde_jax.report.diagram import LIGHT, PAGE_WIDTH, Theme
from sde_jax.report.findings import Finding, by_basis, findings, lines
from sde_jax.report.measured import Measured, metric_against_evaluations


def quality_pictures(
    rows: Iterable[Mapping[str, Any]], *, theme: Theme = LIGHT, width: int = PAGE_WIDTH
) -> dict[str, str]:
    """By metric, an SVG of it against calls of the network a sample, from the rows of `evaluation.json`.

    Of the newest checkpoint that has any, a line for each sampler; none for a metric with fewer than two numbers of
    calls. Of a metric measured on several bases (features, protocol, reference) it is the last. Raises InputError
    where a row is none.
    """
    drawn = {}
    for group in by_basis(findings(rows)):
        series = quality(group)
        if series:
            drawn[group[0].metric] = metric_against_evaluations(series, group[0].metric, theme=theme, width=width)
    return drawn


def quality(group: Sequence[Finding]) -> dict[str, Measured]:
    """Findings of one basis at the newest checkpoint against evaluations; none of fewer than two such places."""
    placed = [one for one in group if one.value is not None and one.sampler and one.evaluations]
    newest = max((one.checkpoint_step for one in placed), default=0)
    placed = [one for one in placed if one.checkpoint_step == newest]
    if len({one.evaluations for one in placed}) < 2:
        return {}
    return {name: measured(line, "evaluations") for name, line in lines(placed, steps_apart=False).items()}


def over_checkpoints(group: Sequence[Finding]) -> dict[str, Measured]:
    """Findings of one basis against the training step; none of fewer than two steps."""
    if len({one.checkpoint_step for one in group if one.value is not None}) < 2:
        return {}
    there = {name: line for name, line in lines(group).items() if any(one.value is not None for one in line)}
    return {name: measured(line, "checkpoint_step") for name, line in there.items()}


def measured(line: Sequence[Finding], place: str) -> Measured:
    """The findings of a line at the field `place` of each."""
    low, high = zip(*(one.ends for one in line), strict=True)
    values = [math.nan if one.value is None else one.value for one in line]
    return Measured([getattr(one, place) for one in line], values, low, high)
