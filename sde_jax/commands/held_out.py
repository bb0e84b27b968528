"""The held-out examples of a run, and what is to be known of them before they are measured."""

import sys

from sde_jax import processes
from sde_jax.data import Source, Splits, contents
from sde_jax.model import Record


def held_out(record: Record) -> tuple[Source, list[str]]:
    """Open a run's data; return the held-out examples and, a line each, why they may not be what they were.

    The lines are told on standard error too. Raises as opening the data does.
    """
    splits = record.experiment.data.open()
    return splits.held_out, told(record, splits)


def told(record: Record, splits: Splits) -> list[str]:
    """Return why the held-out examples of a run's data may have been trained on, a line each; tell them."""
    lines = [f"the run's data were changed while it trained ({change})" for change in record.accepted]
    if record.contents and (change := record.contents.held_out.change(contents(splits.held_out))):
        lines.append(f"the held-out examples are not those of the run ({change})")
    if processes.is_first():
        for line in lines:
            print(f"sde-jax: {line}; some of these examples may have been trained on", file=sys.stderr)
    return lines
