"""What stops a run: numbers that went wrong, and signals."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import jax
import numpy as np

from sde_jax.processes import ENDING, handled
from sde_jax.training.anomaly import Anomaly, OnAnomaly
from sde_jax.training.step import Metrics


@dataclass(frozen=True)
class Row:
    """What came of one step: its number, and the metrics on the host, of NumPy's types."""

    step: int
    metrics: Metrics


class Guard:
    """Remembers the metrics of steps whose numbers are still on their way from the device.

    Looking at them only when asked leaves the device free to run ahead of the host. examples(position): the training
    examples of a batch; tell: is told of every step that was left out, before `on_anomaly` is.
    """

    def __init__(
        self, on_anomaly: OnAnomaly, examples: Callable[[int], np.ndarray], tell: Callable[[Anomaly], None]
    ) -> None:
        self._on_anomaly, self._examples, self._tell = on_anomaly, examples, tell
        self._pending: list[tuple[int, int, int, Metrics]] = []
        self._in_a_row = 0

    def watch(self, step: int, position: int, count: int, metrics: Metrics) -> None:
        """Remember the metrics of `count` steps from `step` on, the first of which read the batch at `position`."""
        self._pending.append((step, position, count, metrics))

    def check(self) -> list[Row]:
        """Wait for the pending metrics and return those of healthy steps.

        Raises what the rule says of one that was not.
        """
        pending, self._pending = self._pending, []
        rows = []
        for first, position, count, metrics in pending:
            metrics = jax.tree.map(np.asarray, metrics)
            for i in range(count):
                row = Row(first + i, jax.tree.map(lambda a, i=i: a[i], metrics) if count > 1 else metrics)
                if row.metrics.healthy:
                    rows.append(row)
                    self._in_a_row = 0
                else:
                    self._meet(row, position + i)
        return rows

    def _meet(self, row: Row, position: int) -> None:
        self._in_a_row += 1
        loss, norm = float(row.metrics.loss), float(row.metrics.gradient_norm)
        anomaly = Anomaly(row.step, position, loss, norm, self._examples(position).tolist())
        self._tell(anomaly)
        self._on_anomaly.meet(anomaly, self._in_a_row)


class Interruption:
    """Within it SIGTERM, SIGINT and SIGHUP raise a flag instead of ending the process; `signal` is the first that came.

    A second SIGTERM or SIGINT ends it at once. A lost terminal sends SIGHUP more than once, and before SIGTERM, so it
    does not count. A signal that was ignored before, as SIGHUP is by `nohup`, still is.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._handled = handled((*ENDING, signal.SIGINT), self._receive)

    def __enter__(self) -> "Interruption":
        self._handled.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._handled.__exit__(None, None, None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)
        if number != signal.SIGHUP:
            for ending in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(ending) == self._receive:
                    signal.signal(ending, signal.SIG_DFL)

    def __bool__(self) -> bool:
        return self.signal is not None
