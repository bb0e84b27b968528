"""`sde-jax average`: a power function average of any length, from the checkpoints that a run kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from sde_jax.commands.workdir import Workdir, abstract_state
from sde_jax.errors import InputError
from sde_jax.model import Record
from sde_jax.training import PowerAverages
from sde_jax.training.averages import Profile, combined, fit, power_averages
from sde_jax.typing import Params


def run(directory: Path, deviation: float, output: Path, step: int | None = None) -> dict[str, Any]:
    """Write a run whose newest checkpoint holds the average of `deviation` at `step`; return how it was made.

    The new run is the one in `directory` as it was at that step, the newest kept one if None, as if this had been its
    one average; it can be sampled from, scored, published and trained on. The checkpoints are read one after the other.
    Raises `InputError` where the run keeps no power function averages, where those kept do not give this one
    (`averages.fit`), and where `output` holds anything already.
    """
    workdir, target = Workdir(directory), Workdir(output)
    target.require_new("--output")
    record = workdir.read_record()
    average = record.experiment.training.average
    like = abstract_state(record, record.mesh())
    deviations = [*power_averages(average, like.averages)]
    if not deviations:
        raise InputError(f"{directory}: keeps no power function averages; train with training.average=PowerAverages")
    made = _of(record, deviation)
    with workdir.saved() as checkpoints:
        step = step or checkpoints.latest or 0
        found = fit([Profile(n, d) for n in checkpoints.steps for d in deviations], Profile(step, deviation))
        early = [n for n in checkpoints.steps if n <= step]

        def trees() -> Iterator[Params]:
            for n in early:
                yield from power_averages(average, checkpoints.restore(like, n).averages).values()

        tree = combined(found.coefficients[: len(early) * len(deviations)], trees())
        workdir.require_own(checkpoints, step)
        state = replace(checkpoints.restore(like, step), averages=(jax.tree.map(jnp.asarray, tree),))
        kept = {**checkpoints.record(step), "run": made.to_json()}
    with target.made(made) as written:
        written.save(state, kept)
    facts = {"workdir": str(directory), "output": str(output), "deviation": deviation, "step": step}
    return {**facts, "checkpoints": len(early), "residual": found.residual}


def _of(record: Record, deviation: float) -> Record:
    """Return the record of the same run with one average alone."""
    training = replace(record.experiment.training, average=PowerAverages((deviation,)))
    return replace(record, experiment=replace(record.experiment, training=training))
