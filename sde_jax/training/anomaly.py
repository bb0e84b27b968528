"""Steps whose numbers went wrong, and what is done about them."""

import abc
from dataclasses import dataclass

from sde_jax.errors import InputError, RunError


@dataclass(frozen=True)
class Anomaly:
    """A step that was left out: its number, the batch it read, what came out, and the training examples in it."""

    step: int
    position: int
    loss: float
    gradient_norm: float
    examples: list[int]

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"step {self.step}: loss {self.loss}, gradient norm {self.gradient_norm}, from the training examples "
            f"{self.examples}"
        )


class RollBackError(Exception):
    """Training is to go on from the newest checkpoint with the batches after `position`."""

    def __init__(self, anomaly: Anomaly):
        super().__init__(str(anomaly))
        self.position = anomaly.position + 1


@dataclass(frozen=True)
class OnAnomaly(abc.ABC):
    """What is done when loss or gradient are not finite, or spike.

    spike: how many times its running mean either may be, 0 for any finite number; settled: healthy steps before that is
    asked. The update of such a step is never made. Raises `InputError` unless spike is 0 or > 1 and settled >= 1.
    """

    spike: float = 0.0
    settled: int = 100

    def __post_init__(self):
        if not (self.spike == 0 or self.spike > 1) or self.settled < 1:
            raise InputError(f"{self}: expected spike 0 or > 1, and settled >= 1")

    @abc.abstractmethod
    def meet(self, anomaly: Anomaly, in_a_row: int) -> None:
        """Be told of a step that was left out, the how manieth in a row; raise what ends the training, if anything."""


@dataclass(frozen=True)
class Stop(OnAnomaly):
    """End the run, with everything up to the last checkpoint saved."""

    def meet(self, anomaly: Anomaly, in_a_row: int) -> None:
        """Raise `RunError` with the step and the batch's examples."""
        raise RunError(
            f"{anomaly}; nothing was saved after the last checkpoint. Look at these examples, lower "
            "training.optimizer.learning_rate, or choose training.on_anomaly=Skip or RollBack"
        )


@dataclass(frozen=True)
class Skip(OnAnomaly):
    """Go on without the update, unless `limit` steps in a row are left out."""

    limit: int = 20

    def __post_init__(self):
        super().__post_init__()
        if self.limit < 1:
            raise InputError(f"{self}: expected limit >= 1")

    def meet(self, anomaly: Anomaly, in_a_row: int) -> None:
        """Raise `RunError` at the last of `limit` steps in a row."""
        if in_a_row >= self.limit:
            raise RunError(f"{anomaly}, and {in_a_row} steps in a row were left out; go on with another setting")


@dataclass(frozen=True)
class RollBack(OnAnomaly):
    """Go back to the newest checkpoint and on from there with the batches after this one, `limit` times at most."""

    limit: int = 3

    def __post_init__(self):
        super().__post_init__()
        if self.limit < 1:
            raise InputError(f"{self}: expected limit >= 1")

    def meet(self, anomaly: Anomaly, in_a_row: int) -> None:
        """Raise `RollBackError`."""
        raise RollBackError(anomaly)
