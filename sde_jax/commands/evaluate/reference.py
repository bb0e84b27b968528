"""What samples are compared with: statistics of a split of the data, computed once, or of a file."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from sde_jax import processes
from sde_jax.codec import encode
from sde_jax.commands.evaluate import states
from sde_jax.commands.evaluate.rounds import Rounds
from sde_jax.commands.evaluate.subject import shared
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Source, passing
from sde_jax.errors import InputError
from sde_jax.metrics import (
    Extractor,
    Frechet,
    Metric,
    Outputs,
    gaussian,
    merged,
    read_gaussian,
    write_gaussian,
)
from sde_jax.model import Record
from sde_jax.training import by_example

FOLDER = "references"
FORMAT = 1


@dataclass(frozen=True)
class Origin:
    """What statistics are of: the fingerprint of the data and the name of their split, features and their protocol."""

    data: str
    split: str
    features: str
    protocol: str

    @property
    def digest(self) -> str:
        """The SHA-256 that rows state: of all but the split's name."""
        return states.digest({name: value for name, value in asdict(self).items() if name != "split"})


@dataclass(frozen=True)
class Reference:
    """What the metric of one name compares with: its state over the data, or a file's Gaussian.

    digest: the SHA-256 of what it is of; split: its name, or the file's; warnings: for every row.
    """

    state: Any
    digest: str
    split: str
    warnings: tuple[str, ...] = ()


def computed(
    cache: Workdir,
    origin: Origin,
    metrics: Mapping[str, Metric],
    source: Source,
    extractor: Extractor,
    record: Record,
) -> dict[str, Reference]:
    """Return the references of metrics over a source; what is not in the cache is computed, and then is there.

    Processes call it together, and process 0 has the states. Raises what the source raises for an example that cannot
    be read, and `InputError` where the cache cannot be written.
    """
    evaluation, mesh = record.experiment.evaluation, record.mesh()
    of = {name: {"format": FORMAT, **asdict(origin), "metric": encode(metric)} for name, metric in metrics.items()}
    found = {n: states.read(cache, states.file_of(FOLDER, of[n]), of[n], m.init()) for n, m in metrics.items()}
    missing = processes.first_says([name for name, state in found.items() if state is None])
    if missing:
        rows = shared(min(evaluation.batch_size, len(source)), mesh.size)
        size = max(evaluation.round_size // rows, 1) * rows
        whole = {"part": "reference", "of": [of[name] for name in missing]}
        rounds = Rounds(cache, whole, len(source), size, evaluation.save_seconds, f"{FOLDER}/rounds")
        new = _measured(rounds, {name: metrics[name] for name in missing}, source, extractor, rows, mesh)
        for name, state in new.items():
            states.write(cache, states.file_of(FOLDER, of[name]), of[name], state)
        rounds.forget()
        found |= new
    return {name: Reference(state, origin.digest, origin.split) for name, state in found.items()}


def _measured(
    rounds: Rounds, metrics: Mapping[str, Metric], source: Source, extractor: Extractor, rows: int, mesh: Mesh
) -> dict[str, Any]:
    def advance(state: dict[str, Any], first: int, last: int) -> dict[str, Any]:
        parts = []
        for batch, count in passing(source, rows, first, last):
            outputs = processes.on_host(extractor(jax.device_put(batch["data"], by_example(mesh))))
            parts.append(jax.tree.map(lambda a: a[:count], (*outputs, batch["index"])))  # noqa: B023
        if not processes.is_first():
            return state
        outputs = Outputs(*jax.tree.map(lambda *a: np.concatenate(a), *parts))
        return {name: metric.update(state[name], outputs) for name, metric in metrics.items()}

    return rounds.run({name: metric.init() for name, metric in metrics.items()}, advance, "reference")


def given(path: Path, extractor: Extractor, data: str | None) -> Reference:
    """Return the Gaussian of a file in EDM's layout, as ours or another program wrote it.

    data: the fingerprint of those of the run, None where they are not here. Raises `InputError`, naming both, where the
    file says that it is of other data, features or another protocol, or has another number of features.
    """
    values, there = read_gaussian(path), _facts(path)
    here = {"features": extractor.name, "protocol": extractor.protocol, **({"data": data} if data else {})}
    other = [f"{n} {there[n]!r} there, {value!r} here" for n, value in here.items() if there.get(n, value) != value]
    if values.mean.size != extractor.size:
        other.append(f"{values.mean.size} features there, {extractor.size} of {extractor.name!r} here")
    if other:
        advice = "choose the run's own --features, or make it again with --write_reference"
        raise InputError("\n".join([*(f"{path}: a reference of something else: {line}" for line in other), advice]))
    unsaid = [name for name in ("data", "features", "protocol") if name not in there]
    warnings = [f"the reference {path.name} does not say of which {' and '.join(unsaid)} it is"] if unsaid else []
    if data is None and "data" in there:
        warnings.append(f"the run's data are not here to compare with those of {path.name}")
    if unsaid:
        of = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        of = Origin(split="", **{name: there[name] for name in ("data", "features", "protocol")}).digest
    return Reference(values, of, path.name, tuple(warnings))


def write(path: Path, state: Any, origin: Origin, labels: Sequence[int] = ()) -> None:
    """Write a Fréchet distance's state over data in EDM's layout, with what it is of, which EDM's readers pass over.

    labels: how many examples of each class the data have, where that is known.
    """
    counts = {"label_counts": json.dumps(list(labels))} if labels else {}
    with path.open("wb") as file:
        write_gaussian(file, gaussian(merged(*state)), {**asdict(origin), **counts})


def label_counts(path: Path) -> list[int]:
    """Return how many examples of each class the data of a file have, [] where it does not say."""
    with np.load(path, allow_pickle=False) as file:
        return [int(count) for count in json.loads(str(file["label_counts"]))] if "label_counts" in file else []


def _facts(path: Path) -> dict[str, str]:
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in ("data", "split", "features", "protocol") if name in file]
        return {name: str(file[name]) for name in names}


def taken_from_file(metrics: Mapping[str, Metric]) -> list[str]:
    """Return the names of the metrics for which mean and covariance are enough."""
    return [name for name, metric in metrics.items() if isinstance(metric, Frechet)]
