"""Where the wall time of a run goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sde_jax.errors import InputError

PARTS: tuple[str, ...] = ("start", "compile", "data", "checkpoint", "evaluation", "step")
"""What a process of a run does: comes up (opens the data, initialises, restores) and ends, compiles, waits for a batch,
waits for a checkpoint, draws samples, makes steps."""


class Clock:
    """The seconds that a process has spent in each of `PARTS`, from the clock's making on.

    `with clock("data"): ...` is time of that part, taken off the part it is within; what is within none is "start".
    Every moment is of one part, so they sum to the wall time. What is measured is the host's time: a device that works
    on meanwhile, as it does while a batch is fetched, is not waited for. Costs two readings of a clock, which is `now`,
    in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self._now = now
        self._seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._part, self._since = "start", now()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Count the time within as of `part`; raises `InputError` where there is no such part."""
        if part not in self._seconds:
            raise InputError(f"a clock's part {part!r}: expected one of {', '.join(PARTS)}")
        outer = self._turn(part)
        try:
            yield
        finally:
            self._turn(outer)

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each part up to now."""
        self._turn(self._part)
        return dict(self._seconds)

    def _turn(self, part: str) -> str:
        now, outer = self._now(), self._part
        self._seconds[outer] += now - self._since
        self._part, self._since = part, now
        return outer
