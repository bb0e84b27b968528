"""What stops a run: numbers that are no longer finite, and signals."""

import signal
from types import FrameType

import numpy as np

from sde_jax.errors import RunError
from sde_jax.training.step import Metrics


class FiniteGuard:
    """Remembers the metrics of steps whose numbers are still on their way from the device, with their batches.

    Looking at them only when asked leaves the device free to run ahead of the host.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[int, np.ndarray, Metrics]] = []

    def watch(self, step: int, indices: np.ndarray, metrics: Metrics) -> None:
        """Remember the metrics of update `step`, made with the examples `indices` of the training set."""
        self._pending.append((step, indices, metrics))

    def check(self) -> list[tuple[int, float]]:
        """Wait for the pending metrics and return (step, loss) of each.

        Raises `RunError` with the step and the batch's indices at the first loss or gradient that is not finite.
        """
        losses = []
        for step, indices, metrics in self._pending:
            loss, norm = float(metrics.loss), float(metrics.gradient_norm)
            if not (np.isfinite(loss) and np.isfinite(norm)):
                raise RunError(
                    f"step {step}: loss {loss}, gradient norm {norm}, from the training examples "
                    f"{indices.tolist()}; nothing was saved after the last checkpoint. Look at these examples, or "
                    "lower training.optimizer.learning_rate"
                )
            losses.append((step, loss))
        self._pending.clear()
        return losses


class Interruption:
    """Within it, SIGTERM and SIGINT raise a flag instead of ending the process; a second one ends it at once."""

    EXIT_CODE = 75
    """What the process exits with after saving (EX_TEMPFAIL: run the same command again)."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self._before = {s: signal.signal(s, self._receive) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for s in self._before:
            signal.signal(s, signal.SIG_DFL)

    def __bool__(self) -> bool:
        return self.signal is not None
