"""The clock of a watchdog."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

WINDOW = 101
"""Intervals whose median counts."""
LOOK = 1.0
"""Seconds between two looks."""


class Watch:
    """Calls `stuck(seconds, step)`, on a thread, once no step has ended for more than `limit(intervals)` seconds.

    `step` is the last one that ended. The time until the first one ends, which is spent on compilation, is no interval.
    Each pause may last `pause` seconds: a disk or another process may keep one waiting for ever. A context manager;
    nothing is watched outside of it.
    """

    def __init__(
        self,
        limit: Callable[[Sequence[float]], float],
        step: int,
        stuck: Callable[[float, int], object],
        pause: float = math.inf,
    ):
        self._limit, self._step, self._stuck, self._pause = limit, step, stuck, pause
        self._intervals: deque[float] | None = None
        self._pauses = 0
        self._since = self._paused = time.monotonic()
        self._change = threading.Condition()
        self._over = False

    def __enter__(self) -> "Watch":
        self._since = time.monotonic()
        if self._limit([]) < math.inf:
            threading.Thread(target=self._run, daemon=True, name="watchdog").start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._change:
            self._over = True
            self._change.notify()

    def beat(self, step: int) -> None:
        """Say that `step` has ended."""
        with self._change:
            now = time.monotonic()
            if self._intervals is None:
                self._intervals = deque(maxlen=WINDOW)
            else:
                self._intervals.append(now - self._since)
            self._since = self._paused = now
            self._step = step

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it the time of a step stands still: for evaluation, sampling and waits for checkpoints."""
        with self._change:
            if not self._pauses:
                self._paused = time.monotonic()
            self._pauses += 1
        try:
            yield
        finally:
            with self._change:
                self._pauses -= 1
                if not self._pauses:
                    self._since += time.monotonic() - self._paused

    def _run(self) -> None:
        with self._change:
            while not self._over:
                since, limit = self._since, self._limit(self._intervals or ())
                if self._pauses:
                    since, limit = self._paused, self._pause
                left = limit - (time.monotonic() - since)
                if left <= 0:
                    self._stuck(limit - left, self._step)
                    return
                self._change.wait(min(left, LOOK))
