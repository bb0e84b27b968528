"""The held-out examples of a run, and what is to be known of them before they are measured."""

import sys

from sde_jax import processes
from sde_jax.data import Source, Splits, contents, numbered_as
from sde_jax.model import Record


def held_out(record: Record) -> tuple[Source, list[str]]:
    """Open a run's data; return the held-out examples and, a line each, why they may not be what they were.

    The lines are told on standard error too. Raises as opening the data does.
    """
    splits = numbered_as(record.experiment.data.open(), record.classes)
    return splits.held_out, held_out_warnings(record, splits)


def held_out_warnings(record: Record, splits: Splits) -> list[str]:
    """Return what to know of numbers of a run's held-out examples, a line each; tell it on standard error.

    Whether they may have been trained on, and whether the network is told less than it was trained with.
    """
    lines = [f"the run's data were changed while it trained ({change})" for change in record.accepted]
    if record.contents and (change := record.contents.held_out.change(contents(splits.held_out))):
        lines.append(f"the held-out examples are not those of the run ({change})")
    lines = [
        f"{line}; some of these examples may have been trained on" for line in lines
    ] + record.null_token_warnings()
    if processes.is_first():
        for line in lines:
            print(f"sde-jax: {line}", file=sys.stderr)
    return lines
