"""What a posterior is asked for, and what a run makes of it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sde_jax.codec import decode, nearest
from sde_jax.commands.capacity import GRID, require_samples
from sde_jax.commands.restoration.tasks import TASKS, Choices, Task
from sde_jax.commands.samplers import chosen
from sde_jax.errors import InputError
from sde_jax.experiment import Sampler
from sde_jax.guidance import PosteriorMethod
from sde_jax.measurement import Independent
from sde_jax.model import Record
from sde_jax.sampling import DPMSolverMultistep, LogSNR
from sde_jax.sde import require_falling

STEPS = 50


def default_sampler() -> Sampler:
    """Return the sampler of posteriors: the reverse SDE at order 2, in equal steps of log-SNR."""
    return Sampler(DPMSolverMultistep(order=2, churn=1.0), STEPS, 1e-3, LogSNR())


class Setting(NamedTuple):
    """A request that fits a run."""

    task: Task
    method: PosteriorMethod
    sampler: Sampler
    noise: Independent


@dataclass(frozen=True)
class Request:
    """What is asked for.

    task: a name of `TASKS`, with `choices`; method: the name of a class of `guidance`, its fields as overrides
    `method.field`; noise: the standard deviation of y's, in units of x_0; sampler: a name of the
    run's or of the library's, None: `default_sampler`; steps: of its grid; num_samples: members of each posterior;
    batch_size: samples at once.
    """

    task: str
    choices: Choices = field(default_factory=Choices)
    method: str = "MomentMatching"
    noise: float = 0.05
    sampler: str | None = None
    steps: int | None = None
    num_samples: int = 8
    batch_size: int = 256
    seed: int = 0
    average: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def setting(self, record: Record) -> Setting:
        """Return what the run makes of it; raises `InputError` with every problem found."""
        if not record.is_image:
            raise InputError(f"examples of shape {record.shape}: expected a run of images")
        if "channels" in record.condition.hears():
            raise InputError("this run's network hears a degraded image: expected a prior, or Model.restore in Python")
        record.experiment.objective.require_score(f"--task={self.task}")
        changes = {path.removeprefix("method."): value for path, value in self.overrides.items()}
        method, found = decode(PosteriorMethod, {**changes, "type": self.method}, where="--method")
        problems = [*self._problems(record), *(found if not self._foreign() else [])]
        if problems:
            raise InputError("\n".join(problems))
        require_samples(self.num_samples, record.size)
        task = TASKS[self.task](self.choices, record.shape)  # pyright: ignore[reportArgumentType]
        return Setting(task, method, self._sampler(record), Independent(self.noise))

    def _problems(self, record: Record) -> Iterator[str]:
        if self.task not in TASKS:
            yield f"--task={self.task}: no such task; {nearest(self.task, TASKS)}"
        if not 0 < self.noise < math.inf:
            yield f"--noise={self.noise:g}: expected a positive number, in units of x_0"
        for flag, least in (("num_samples", 2), ("batch_size", 1)):
            if getattr(self, flag) < least:
                yield f"--{flag}={getattr(self, flag)}: expected {least} or more"
        if self.steps is not None and self.steps > GRID:
            yield f"--steps={self.steps}: expected at most {GRID}"
            return
        for path in self._foreign():
            yield f"--config.{path}: expected --config.method.name=value; all else is as it was trained"
        try:
            require_falling(record.experiment.sde)
            self._sampler(record).grid(record.experiment.sde)
        except InputError as error:
            yield str(error)

    def _foreign(self) -> list[str]:
        return [path for path in self.overrides if not path.startswith("method.")]

    def _sampler(self, record: Record) -> Sampler:
        if self.sampler is not None:
            name, experiment = chosen(record.experiment, self.sampler, self.steps)
            return experiment.samplers[name]
        return default_sampler() if self.steps is None else replace(default_sampler(), steps=self.steps)
