"""What evaluations found, as plain rows, and how they belong together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sde_jax.errors import InputError
from sde_jax.report.values import count_text


@dataclass(frozen=True)
class Finding:
    """One number, and what it is a number of. What does not apply is None.

    metric: its name; value: None where it was not finite; standard_error, interval (low, high) at 95%: of the value;
    samples: examples that it is taken over; passes: draws of each. Of samples: sampler, steps of its grid and calls of
    the network a sample (`evaluations`); features and protocol: what extracted them, and from what; comparable: with
    published FIDs; reference, reference_split, reference_samples: what the samples are compared with.
    """

    metric: str
    value: float | None
    checkpoint_step: int
    samples: int
    seed: int | None = None
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
    details: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    @property
    def basis(self) -> tuple[object, ...]:
        """What two numbers must share to be numbers of the same."""
        compared = (self.reference, self.reference_split, self.reference_samples)
        return (self.metric, self.features, self.protocol, self.comparable, *compared)

    @property
    def ends(self) -> tuple[float, float]:
        """Where the error bar ends: the interval, else one standard error to either side; NaN without a value."""
        if self.value is None:
            return math.nan, math.nan
        error = self.standard_error or 0.0
        return self.interval or (self.value - error, self.value + error)


def findings(rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The rows of `evaluation.json` as findings, what else they say left out; raises InputError where one is none."""
    return [_finding(row) for row in rows]


def _finding(row: Mapping[str, Any]) -> Finding:
    known = {f.name: row[f.name] for f in fields(Finding) if f.name in row}
    missing = {"metric", "value", "checkpoint_step", "samples"} - known.keys()
    if missing:
        raise InputError(f"a row of evaluations lacks {', '.join(sorted(missing))}; expected those of evaluation.json")
    numbers = (known["value"], known.get("standard_error"), *(known.get("interval") or ()))
    for number in numbers:
        if number is not None and (isinstance(number, str) or not math.isfinite(number)):
            raise InputError(f"the evaluation of {known['metric']} says {number!r}; expected finite numbers, or None")
    return Finding(**known)


def by_basis(found: Iterable[Finding]) -> list[list[Finding]]:
    """The findings of each metric, features, protocol and reference, in the order in which these come first."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for one in found:
        groups.setdefault(one.basis, []).append(one)
    return list(groups.values())


def lines(group: Sequence[Finding], *, steps_apart: bool = True) -> dict[str, list[Finding]]:
    """The findings of one basis by what they are of, named by whatever tells them apart.

    That is the sampler, and where several were used the seed, the number of samples, the average, and the steps of the
    same sampler, unless `steps_apart` is false.
    """
    several = {name: len({getattr(one, name) for one in group}) > 1 for name in ("average", "samples", "seed")}
    grids: dict[str | None, set[int | None]] = {}
    for one in group:
        grids.setdefault(one.sampler, set()).add(one.steps)

    def name(one: Finding) -> str:
        parts = [one.sampler or ""]
        if steps_apart and one.steps is not None and len(grids[one.sampler]) > 1:
            parts.append(f"{one.steps:,} steps")
        parts += [one.average or "default average"] if several["average"] else []
        parts += [f"{count_text(one.samples)} samples"] if several["samples"] else []
        parts += [f"seed {one.seed}"] if several["seed"] else []
        return ", ".join(part for part in parts if part) or "held-out data"

    named: dict[str, list[Finding]] = {}
    for one in group:
        named.setdefault(name(one), []).append(one)
    return named
