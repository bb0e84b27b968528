"""The certificate as a table."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from sde_jax.certificate.finding import Finding
from sde_jax.certificate.orders import GAUSSIAN_LAW, MIXTURE_LAW, SLACK


def table(findings: Sequence[Finding]) -> str:
    """Return the findings for a reader: orders as a matrix of samplers and paths, the rest law by law.

    Of an order the first number is on a Gaussian, the second on a mixture. What falls short is marked with !.
    """
    found = [f for f in findings if f.law in (GAUSSIAN_LAW, MIXTURE_LAW)]
    blocks = [_orders(found)] if found else []
    rest = sorted((f for f in findings if f not in found), key=lambda f: f.law)
    blocks += [_bounds(law, list(group)) for law, group in groupby(rest, key=lambda f: f.law)]
    return "\n\n".join(blocks)


def _orders(findings: Sequence[Finding]) -> str:
    paths = list(dict.fromkeys(f.on for f in findings))
    rows = [["order of convergence", "declared", *paths]]
    for part in dict.fromkeys(f.part for f in findings):
        declared = next(f.bound + SLACK for f in findings if f.part == part)
        cells = [[f for f in findings if (f.part, f.on) == (part, path)] for path in paths]
        rows.append([part, f"{declared:g}", *(" / ".join(map(_order, cell)) for cell in cells)])
    return aligned(rows)


def _order(finding: Finding) -> str:
    return f"{finding.measured:.2f}{'' if finding.holds else '!'}"


def _bounds(law: str, findings: Sequence[Finding]) -> str:
    paths = list(dict.fromkeys(f.on for f in findings))
    parts = list(dict.fromkeys(f.part for f in findings))
    rows = [[law, "bound", *paths]]
    for part in parts:
        cells = [next((f for f in findings if (f.part, f.on) == (part, path)), None) for path in paths]
        bound = next(f.bound for f in findings if f.part == part)
        shown = ["" if f is None else f"{f.measured:.1e}{'' if f.holds else '!'}" for f in cells]
        rows.append([part, f"{bound:g}", *shown])
    return aligned(rows)


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of as many cells as a table, the first its head."""
    rows = list(rows)
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
