"""What the books of a run say about its training, for its report."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_jax.sde import GaussianPath
from sde_jax.training import Account, level_edges

Rows = Sequence[dict[str, Any]]
TIMES = {
    "compile": "compilation",
    "data": "waiting for data",
    "checkpoint": "checkpoints",
    "evaluation": "previews",
    "start": "starting",
}


def curve(rows: Rows) -> dict[str, tuple[list[int], list[float]]]:
    """Return the logged losses, NaN where one was not finite; none where no loss was."""
    losses = [_number(row.get("loss")) for row in rows]
    return {"training": ([row["step"] for row in rows], losses)} if np.isfinite(losses).any() else {}


def level_losses(rows: Rows, sde: GaussianPath) -> tuple[list[int], np.ndarray, np.ndarray] | None:
    """Return (steps, edges in log SNR, losses [steps, levels]) of the rows that have them, None where none does."""
    edges = 2 * level_edges(sde)
    found = [row for row in rows if len(row.get("loss_by_noise_level") or ()) == len(edges) - 1]
    losses = np.array([[_number(loss) for loss in row["loss_by_noise_level"]] for row in found])
    return ([row["step"] for row in found], edges, losses) if np.isfinite(losses).any() else None


def times(account: Account) -> dict[str, float]:
    """Return the seconds of each part of a run's time, of steps those that count and those that do not."""
    steps = {"steps": account.good, "steps made again or left out": account.lost}
    return {**steps, **{name: account.seconds[part] for part, name in TIMES.items()}} if account.wall else {}


def progress(rows: Rows, history: Rows, account: Account) -> dict[str, str]:
    """Return goodput, how often the run started and went back, what was left out, and how fast it was."""
    if not history:
        return {}
    events = [row["event"] for row in history]
    elapsed, alive = (history[-1][name] - history[0][name] for name in ("time", "wall_seconds"))
    facts = {
        "goodput": f"{100 * account.goodput:.1f}% of the wall time in steps that count",
        "starts": f"{events.count('start')}",
        "rollbacks": f"{events.count('rollback')}",
        "steps left out": f"{rows[-1].get('skipped') or 0:.0f}" if rows else "0",
        "between starts": f"{max(elapsed - alive, 0):,.0f} s in which no process is known to have run",
    }
    for name, key, text in (
        ("throughput", "images_per_second", "{:,.4g} images/s"),
        ("time of a step", "step_seconds", "{:.3g} s"),
        ("FLOP utilization", "flop_utilization", "{:.1%} of the dense bfloat16 peak"),
    ):
        values = [row[key] for row in rows if row.get(key) is not None]
        facts |= {name: text.format(np.median(values)) + ", median"} if values else {}
    return facts


def _number(value: float | None) -> float:
    return np.nan if value is None else value
