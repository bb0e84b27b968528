"""The samplers that `tune` found for a run: `samplers/NAME.json` beside it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sde_jax.codec import decode, encode
from sde_jax.commands.samplers import named, names
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError, shown
from sde_jax.experiment import Sampler
from sde_jax.model import Record
from sde_jax.sde import GaussianPath
from sde_jax.tuning import Effort, Tuning

FOLDER = "samplers"
NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Found:
    """What a file holds: a tuned sampler with its errors, and what it was tuned on.

    checkpoint_step, average: of the model, the name None where the run's config says which; sde, shape: its path and
    the shape of its state; labels: the law of those that draws were given, None for an unconditional network; end:
    the last time; seed, effort: of the draws.
    """

    tuning: Tuning
    checkpoint_step: int
    sde: GaussianPath
    shape: tuple[int, ...]
    end: float
    seed: int
    effort: Effort
    average: str | None = None
    labels: str | None = None

    @property
    def sampler(self) -> Sampler:
        """The sampler: its solver on its own times."""
        solver = self.tuning.solver
        return Sampler(solver, len(solver.told), solver.times[-1], solver.spacing)

    def require_fit(self, where: str, record: Record) -> None:
        """Raise `InputError` where it was tuned for a model of another kind than a run's."""
        same = encode(self.sde) == encode(record.experiment.sde) and tuple(self.shape) == tuple(record.shape)
        if not same:
            raise InputError(
                f"{where}: tuned for {shown(self.sde)} and examples of shape {self.shape}; this run has "
                f"{record.experiment.sde} and {record.shape}: tune this run, or remove the file"
            )


def file_of(name: str) -> str:
    """Return where a tuned sampler is, relative to the run's directory."""
    return f"{FOLDER}/{name}.json"


def there(workdir: Workdir) -> list[str]:
    """Return the names of the run's tuned samplers."""
    found = (path for path in (workdir.path / FOLDER).glob("*.json") if NAME.fullmatch(path.stem))
    return sorted((path.stem for path in found), key=lambda name: (len(name), name))


def read(workdir: Workdir, name: str) -> Found | None:
    """Return a tuned sampler of a run, None where there is none; raises `InputError` where its file is damaged."""
    if not NAME.fullmatch(name) or (data := workdir.read_json(file_of(name))) is None:
        return None
    where = str(workdir.path / file_of(name))
    found, problems = decode(Found, data, where=where)
    if problems or found is None:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        problem = problems[0] if problems else f"{where}: no tuned sampler"
        raise InputError(f"{problem}{more}; not as `tune` left it: tune again, or remove the file")
    return found


def with_tuned(workdir: Workdir, record: Record, asked: Iterable[str]) -> Record:
    """Return a run's record with the tuned samplers that are asked for among its own, after them.

    A sampler that the run's config or the library has by that name goes before. Raises `InputError` where a file is
    damaged or of another model, and for a name that nobody knows where the run has tuned samplers that may be meant.
    """
    experiment, found = record.experiment, {}
    for name in asked:
        if named(experiment, name) is not None:
            continue
        tuned = read(workdir, name)
        if tuned is not None:
            tuned.require_fit(str(workdir.path / file_of(name)), record)
            found[name] = tuned.sampler
        elif others := there(workdir):
            raise InputError(
                f"--sampler={shown(name)}: this run has {', '.join(experiment.samplers)}, tuned {', '.join(others)}; "
                f"the library has {', '.join(names(experiment)[len(experiment.samplers) :])}"
            )
    if not found:
        return record
    return replace(record, experiment=replace(experiment, samplers={**experiment.samplers, **found}))


def notices(workdir: Workdir, name: str | None, step: int) -> list[str]:
    """Return why a sampler called `name` may not be the best for the model at `step`, a line; none for others."""
    if name is None or named(workdir.read_record().experiment, name) is not None:
        return []
    found = read(workdir, name)
    if found is None or found.checkpoint_step == step:
        return []
    return [
        f"{name} was tuned at step {found.checkpoint_step:,}, and this is the model at step {step:,}: tune again to "
        "have what the errors in its file promise"
    ]


def of_step(workdir: Workdir, name: str, step: int) -> bool:
    """Return whether a tuned sampler was tuned to the checkpoint at `step`."""
    found = read(workdir, name)
    return found is not None and found.checkpoint_step == step


def written(workdir: Workdir, name: str, found: Found) -> Any:
    """Write a tuned sampler beside its run, as a whole or not at all."""
    return workdir.write_json(file_of(name), {k: v for k, v in encode(found).items() if k != "type"})
