"""What is evaluated: a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sde_jax.commands.evaluate.results import File, Row
from sde_jax.commands.evaluate.rounds import Rounds
from sde_jax.commands.workdir import Workdir
from sde_jax.experiment import Evaluation
from sde_jax.model import Model


@dataclass(frozen=True)
class Subject:
    """The model of a checkpoint of a run; average: the name of its average; checkpoint: what identifies it."""

    workdir: Workdir
    model: Model
    average: str | None
    checkpoint: str

    @property
    def evaluation(self) -> Evaluation:
        """How it is evaluated."""
        return self.model.record.experiment.evaluation

    @property
    def stem(self) -> str:
        """What the names of its files begin with: the step, and the average where one is named."""
        return f"{self.model.step}.{self.average}" if self.average else str(self.model.step)

    def rounds(self, of: Mapping[str, Any], total: int, size: int) -> Rounds:
        """Return the rounds of a pass of which `of` says what beside the checkpoint it is of."""
        of = {**of, "checkpoint": self.checkpoint, "average": self.average, "seed": self.evaluation.seed}
        return Rounds(self.workdir, of, total, size, self.evaluation.save_seconds)

    def at_once(self, batch_size: int, total: int) -> int:
        """Return the rows of a batch of `batch_size` or all examples that the devices share equally."""
        return shared(min(batch_size, total), self.model.record.mesh().size)


def shared(rows: int, devices: int) -> int:
    """Return the least multiple of `devices` that is `rows` or more."""
    return -(-rows // devices) * devices


class Part(Protocol):
    """One kind of what is measured, of one checkpoint after the other."""

    def measure(self, subject: Subject) -> Any:
        """Return what is measured of a checkpoint: on process 0, which alone looks at it. All call it together."""
        ...

    def results(self, subject: Subject, measured: Any) -> tuple[list[Row], list[File]]:
        """Return the numbers, and the files that were written. Process 0 calls it."""
        ...
