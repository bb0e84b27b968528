"""What evaluations found: `evaluation.json`, and its rows as a table in `evaluation.csv`.

    {"format": 1,
     "data": {"fingerprint": sha256 or null, "shape": [...], "levels": int or null},
     "rows": [a `Row` as its fields, ...],
     "files": [a `File` as its fields, ...]}

Rows are in the order of (checkpoint_step, average, part, sampler, steps, metric). A row replaces that of an earlier
evaluation with the same `Row.key`, and so does a file; the others stay, so that rows of checkpoints that are gone
accumulate: a curve over checkpoints is the rows that differ in `checkpoint_step` alone, and quality against
evaluations those that differ in `steps` (and `evaluations`) alone.
"""

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError, shown

FORMAT = 1
FOLDER = "evaluation"
"""Where, in the run's directory, files that belong to rows are."""
_SHOWN = 20
PARTS = ("loss", "likelihood", "samples")


@dataclass(frozen=True)
class Row:
    """One number, and all that it is a number of. What does not apply is None.

    checkpoint_step; average: its name; part: one of `PARTS`; metric: "loss" (the training's, on held-out data),
    "bits_per_dim", "elbo_bits_per_dim", or a name of the config's `evaluation.metrics`; value: None where not finite;
    standard_error, interval [low, high]: of the value; samples: examples that it is taken over; seed; passes: draws an
    example. Of samples: sampler: its name; steps: of its grid, None where it is adaptive; evaluations: denoiser calls
    a sample (of a likelihood: an example), on average; features, protocol: what extracted them, and how data were
    resized and scaled for it; comparable: with published numbers; reference: what the samples are compared with, the
    sha256 of what its statistics are of; reference_split: "train" or "held_out", or the file that was given;
    reference_samples: None where the file does not say. labels: how often a network that hears labels is told each, by
    index and name in `settings`. details: further numbers by name, such as a value extrapolated
    to infinitely many samples; warnings: what to know before the value is quoted; settings: of metric and sampler.
    """

    checkpoint_step: int
    part: str
    metric: str
    value: float | None
    samples: int
    seed: int
    average: str | None = None
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    passes: int | None = None
    sampler: str | None = None
    steps: int | None = None
    evaluations: float | None = None
    features: str | None = None
    protocol: str | None = None
    comparable: bool | None = None
    reference: str | None = None
    reference_split: str | None = None
    reference_samples: int | None = None
    labels: str | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """What the number is of: the later of two rows that agree in it stands."""
        return (*_place(self), self.metric, self.features or "")


def finite(value: float | None) -> float | None:
    """Return a number as JSON can hold it: None where it is not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def told(**details: float) -> dict[str, float]:
    """Return the further numbers that are finite."""
    return {name: float(value) for name, value in details.items() if math.isfinite(value)}


@dataclass(frozen=True)
class File:
    """An NPZ of arrays that belong to rows, in the run's directory.

    part = "samples": `samples` [k, ...], the first of the samples, in the data's own units; `neighbours`
    [m, r, ...], the r training examples nearest to each of the first m, nearest first, `neighbour_index` [m, r] in the
    training split and `neighbour_distance` [m, r], Euclidean.
    part = "likelihood": `bits_per_dim` [n] of every held-out example, averaged over passes, and `index` [n].
    """

    path: str
    part: str
    checkpoint_step: int
    average: str | None = None
    sampler: str | None = None
    steps: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What the file is of."""
        return _place(self)


def _place(of: Row | File) -> tuple[Any, ...]:
    return (of.checkpoint_step, of.average or "", PARTS.index(of.part), of.sampler or "", of.steps or 0)


@dataclass(frozen=True)
class Results:
    """All that evaluations found of one run."""

    rows: Sequence[Row] = ()
    files: Sequence[File] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def updated(self, rows: Sequence[Row], files: Sequence[File], data: Mapping[str, Any]) -> "Results":
        """Return these with newer rows and files in the places of those that are of the same."""
        return Results(_latest(self.rows, rows), _latest(self.files, files), data)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `evaluation.json`."""
        rows, files = ([dataclasses.asdict(item) for item in items] for items in (self.rows, self.files))
        return {"format": FORMAT, "data": dict(self.data), "rows": rows, "files": files}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Results":
        """Return the results of JSON data; raises `InputError` where they are none."""
        try:
            if data["format"] != FORMAT:
                raise InputError(f"format {shown(repr(data['format']), 40)}: expected {FORMAT}")
            return cls([_row(row) for row in data["rows"]], [File(**file) for file in data["files"]], data["data"])
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"no results of an evaluation ({type(error).__name__}: {shown(error)})") from error


def _row(data: Mapping[str, Any]) -> Row:
    interval = data["interval"] and tuple(data["interval"])
    return Row(**{**data, "interval": interval, "warnings": tuple(data["warnings"])})


def _latest(there: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    items = {item.key: item for item in (*there, *new)}
    return [items[key] for key in sorted(items)]


def read(workdir: Workdir, name: str = "evaluation") -> Results | None:
    """Return what is in a run's `evaluation.json`, None where there is none; raises `InputError` where damaged."""
    data = workdir.read_json(f"{name}.json")
    try:
        return None if data is None else Results.from_json(data)
    except InputError as error:
        raise InputError(f"{workdir.path / name}.json: {error}; remove it") from None


def write(workdir: Workdir, results: Results, name: str = "evaluation") -> None:
    """Write the JSON and the CSV of results."""
    workdir.write_json(f"{name}.json", results.to_json())
    workdir.write(f"{name}.csv", lambda path: _write_csv(path, results.rows))


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    names = [f.name for f in dataclasses.fields(Row) if f.name not in ("interval", "details", "warnings", "settings")]
    details = sorted({name for row in rows for name in row.details})
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*names, "interval_low", "interval_high", *details, "warnings"])
        for row in rows:
            further = [row.details.get(name) for name in details]
            low, high = row.interval or (None, None)
            table.writerow([*(getattr(row, name) for name in names), low, high, *further, "; ".join(row.warnings)])


def table(rows: Sequence[Row]) -> str:
    """Return rows as aligned text for a terminal, and the warnings below it, each once."""
    head = ["step", "of", "metric", "value", "+-", "samples"]
    body = [[str(row.checkpoint_step), _of(row), row.metric, *_numbers(row), f"{row.samples:,}"] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [head, *body]]
    warnings = dict.fromkeys(f"{row.metric}: {warning}" for row in rows for warning in row.warnings)
    drawn = dict.fromkeys(f"labels of samples: {_drawn(row)}" for row in rows if row.settings.get("labels"))
    return "\n".join([line.rstrip() for line in lines] + [*drawn, *warnings])


def _drawn(row: Row) -> str:
    counts = list(row.settings["labels"]["samples"].items())
    named = ", ".join(f"{name}: {count:,}" for name, count in counts[:_SHOWN])
    return ": ".join(filter(None, (f"{row.labels}", named))) + (", ..." if counts[_SHOWN:] else "")


def _of(row: Row) -> str:
    steps = f", {row.steps} steps" if row.steps else ""
    calls = f", {row.evaluations:.4g} evaluations" if row.sampler and row.evaluations else ""
    return f"{row.sampler or 'held-out data'}{steps}{calls}"


def _numbers(row: Row) -> tuple[str, str]:
    error = "" if row.standard_error is None else f"{row.standard_error:.2g}"
    return "not finite" if row.value is None else f"{row.value:.5g}", error
