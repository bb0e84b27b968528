"""An evaluation from end to end."""

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from sde_jax import processes
from sde_jax.commands.evaluate import results
from sde_jax.commands.evaluate.arrivals import Arrivals, identity
from sde_jax.commands.evaluate.basis import Basis
from sde_jax.commands.evaluate.held_out import Likelihood, Loss
from sde_jax.commands.evaluate.request import Request
from sde_jax.commands.evaluate.results import Results
from sde_jax.commands.evaluate.samples import Samples
from sde_jax.commands.evaluate.subject import Part, Subject
from sde_jax.commands.held_out import held_out_warnings
from sde_jax.commands.sample import base
from sde_jax.commands.tuned import with_tuned
from sde_jax.commands.workdir import Workdir, load, require_average
from sde_jax.features import Features, Raw
from sde_jax.model import Model
from sde_jax.report import quality_pictures
from sde_jax.training import Shelf

MOST_RAW = 1024
"""Numbers of an example that are features of their own without a word."""


def run(directory: Path, request: Request, output: Path | None = None) -> Results:
    """Evaluate a run's checkpoints; write what was found to what is there already; return what was found now.

    The files are `evaluation` in the run's directory, or `output` as of `sample`, with the endings .json and .csv,
    written anew after each part of each checkpoint, and at the end `_quality_<metric>.svg`, quality against
    evaluations. Raises
    `InputError` where what is asked for cannot be had, `RunError` where a solver does not reach its tolerance or a
    checkpoint does not come.
    """
    workdir = Workdir(directory)
    record = workdir.read_record()
    record = request.record(with_tuned(workdir, record, request.asked(record.experiment)))
    processes.require_same(processes.fingerprint(record.to_json(), 0))
    basis, shelf = Basis(record, request), Shelf(workdir.checkpoints)
    name = str(base(directory, "evaluation", output).absolute())
    there, found = results.read(workdir, name) or Results(), Results()
    given = [] if request.write_reference is None else [str(request.write_reference.absolute())]
    workdir.require_places(f"{name}.json", f"{name}.csv", *given)
    arrivals = Arrivals(shelf, request.checkpoints, record.experiment.training.steps, request.patience)
    arrivals.require()
    require_average(record, request.average)
    _prepare(basis)
    parts: list[Part] = []
    for step in arrivals:
        model = load(workdir, request.average, step, record)
        parts = parts or list(_parts(basis, model))
        subject = Subject(workdir, model, request.average, identity(shelf, step))
        for part in parts:
            measured = part.measure(subject)
            if processes.is_first():
                rows, files = part.results(subject, measured)
                there, found = (all_.updated(rows, files, _data(basis)) for all_ in (there, found))
                with processes.deferred():
                    results.write(workdir, there, name)
    if processes.is_first():
        _draw(workdir, there, name)
    return found


def _draw(workdir: Workdir, there: Results, name: str) -> None:
    """Write the pictures of quality against evaluations, one for each metric that has several numbers of calls."""
    for metric, picture in quality_pictures(map(asdict, there.rows)).items():
        workdir.write(f"{name}_quality_{metric}.svg", partial(_write_text, text=picture))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _prepare(basis: Basis) -> None:
    """Find what is wrong with the data, features and references before anything is drawn."""
    parts, request = basis.request.parts, basis.request
    if {"loss", "likelihood"} & {*parts}:
        _ = basis.held_out
        held_out_warnings(basis.record, basis.splits)
    if "samples" in parts:
        if processes.is_first():
            for line in doubts(basis.evaluation.features, basis.record.shape):
                print(f"sde-jax: {line}", file=sys.stderr)
        _ = basis.references, basis.sample_labels
    if request.write_reference is not None:
        basis.write_reference(request.write_reference)


def doubts(features: Features, shape: tuple[int, ...]) -> Iterator[str]:
    """Yield what to know of features before they are computed, in a line."""
    if isinstance(features, Raw) and math.prod(shape) > MOST_RAW:
        yield (
            f"features Raw are the {math.prod(shape):,} numbers of an example: distances of these take long and say "
            "little; --features Trained or Inception compares what is seen"
        )


def _parts(basis: Basis, model: Model) -> Iterator[Part]:
    if "loss" in basis.request.parts:
        yield Loss(model, *basis.held_out)
    if "likelihood" in basis.request.parts:
        yield Likelihood(model, *basis.held_out)
    if "samples" in basis.request.parts:
        shown = basis.evaluation.neighbours and basis.here
        for job in basis.request.jobs(basis.record.experiment):
            train = basis.splits.train if shown else None
            yield Samples(model, job, basis.extractor, basis.references, train, basis.sample_labels)


def _data(basis: Basis) -> dict[str, Any]:
    known = "origin" in vars(basis)
    data = basis.origin.data if known else None
    return {"fingerprint": data, "shape": list(basis.record.shape), "levels": basis.record.levels}
