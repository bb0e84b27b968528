"""When a run that ends no step counts as stuck, and what is done then."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sde_jax.errors import InputError
from sde_jax.processes.together import end
from sde_jax.processes.watch import Watch


@dataclass(frozen=True)
class Watchdog:
    """A run is stuck when no step has ended for max(least, multiple x median of the last intervals) seconds.

    first: the limit, in seconds, before two intervals are known, and of each stretch of what is no step: it must allow
    for compilation, for a preview, and for the wait until a checkpoint is written. multiple = 0 turns the watchdog off.
    Raises `InputError` out of range.
    """

    multiple: float = 20.0
    least: float = 120.0
    first: float = 3600.0

    def __post_init__(self):
        if not (self.multiple == 0 or 1 < self.multiple < math.inf):
            raise InputError(f"multiple = {self.multiple}: expected a number above 1, or 0 for no watchdog")
        for name in ("least", "first"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} = {getattr(self, name)}: expected seconds, above 0")

    def limit(self, intervals: Sequence[float]) -> float:
        """Return the seconds allowed without a step's end after steps that took `intervals` seconds, newest last."""
        if not self.multiple:
            return math.inf
        if len(intervals) < 2:
            return self.first
        return max(self.least, self.multiple * statistics.median(intervals))

    def watching(self, step: int) -> Watch:
        """Return the watch of a run that goes on from `step`: `beat` at each step's end, `paused` around other work.

        It ends a run that is stuck, with code `ENDED` on every process, after one line and the stacks of all threads:
        also those of the other processes, since the one that hangs need not be the one whose limit is reached.
        """

        def stuck(seconds: float, last: int) -> None:
            limits = f"watchdog: multiple {self.multiple:g}, least {self.least:g} s, first {self.first:g} s"
            end(f"no step has ended for {seconds:.0f} s, since step {last} ({limits}); stacks:", stacks=True)

        return Watch(self.limit, step, stuck, self.first)
