"""`sde-jax compare`: several runs on one page."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sde_jax.codec import encode
from sde_jax.commands import progress
from sde_jax.commands.differences import at, differing
from sde_jax.commands.outcome import Outcome
from sde_jax.commands.report import results, summary
from sde_jax.commands.side_files import damage_told
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError
from sde_jax.report import Comparison, Run, render_comparison

MEASURED = ("bits per dimension", "standard error")
"""Of the summary, what is compared example by example."""


def run(directories: Sequence[Path], output: Path) -> Path:
    """Write a page that compares two or more runs, all with the first; return its path.

    Raises `InputError`, a line for each problem, where there are fewer than two, one is no run, or is given twice.
    """
    outcomes = _outcomes(directories)
    with damage_told(output):
        page = render_comparison(_comparison(directories, outcomes))
    return Workdir(output.absolute().parent).write(output.name, lambda file: file.write_text(page, encoding="utf-8"))


def _comparison(directories: Sequence[Path], outcomes: Sequence[Outcome]) -> Comparison:
    records = [outcome.record for outcome in outcomes]
    names = _names(directories)
    data = [encode(record.experiment.data) for record in records]
    same = all(_same_data(outcomes[0], other) for other in outcomes[1:])
    return Comparison(
        title=" and ".join(names) if len(names) < 3 else f"{len(names)} runs",
        runs=[_run(name, outcome) for name, outcome in zip(names, outcomes, strict=True)],
        remarks=[] if same else [_other_data(names, data)],
        settings=_settings([replace(record, contents=None).to_json() for record in records]),
        same_data=same,
    )


def _outcomes(directories: Sequence[Path]) -> list[Outcome]:
    places = [directory.resolve() for directory in directories]
    problems = [f"{directory}: given twice" for i, directory in enumerate(directories) if places[i] in places[:i]]
    if len(directories) < 2:
        problems.append(f"{len(directories)} run given; expected two or more to compare")
    outcomes = [Outcome(Workdir(directory)) for directory in directories]
    for outcome in outcomes:
        try:
            outcome.record  # noqa: B018  what is no run says so here
        except InputError as error:
            problems += str(error).splitlines()
    if problems:
        raise InputError("\n".join(problems))
    return outcomes


def _names(directories: Sequence[Path]) -> list[str]:
    """Return the directories' own names, with as many of their parents' as tell them apart."""
    parts = [directory.resolve().parts for directory in directories]
    depths = range(1, max(map(len, parts)) + 1)
    named = (["/".join(part[-depth:]) for part in parts] for depth in depths)
    return next(names for names in named if len(set(names)) == len(names))


def _same_data(one: Outcome, other: Outcome) -> bool:
    """Return whether examples of one index are the same: by checksums where both are known, else by the configs."""
    checksums = [outcome.evaluation.data.get("fingerprint") for outcome in (one, other)]
    if None not in checksums:
        return checksums[0] == checksums[1]
    first, second = one.record, other.record
    return (first.experiment.data, first.shape, first.levels) == (second.experiment.data, second.shape, second.levels)


def _run(name: str, outcome: Outcome) -> Run:
    bits, index = outcome.bits
    numbers = {"checkpoint": outcome.scores["checkpoint_step"]} if outcome.scores else {}
    numbers |= {title: value for title, value, _ in summary(results(outcome.workdir)) if title not in MEASURED}
    return Run(
        name=name,
        numbers=numbers,
        bits_per_dim=bits,
        index=index,
        curve=next(iter(progress.curve(outcome.rows).values()), None),
        evaluations=[asdict(row) for row in outcome.evaluation.rows],
        grids=outcome.grids,
        points=outcome.points,
    )


def _other_data(names: Sequence[str], data: Sequence[Any]) -> str:
    said = "; ".join(f"{name}: {_text(one)}" for name, one in zip(names, data, strict=True))
    return f"The data of these runs differ, and so likelihoods and metrics are not comparable. {said}."


def _settings(records: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    paths = sorted({path for record in records for path in differing(records[0], record)})
    return [
        (".".join(path).removeprefix("experiment."), [_text(at(record, path)) for record in records]) for path in paths
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)
