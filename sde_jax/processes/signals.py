"""What SIGTERM does to commands that have nothing to save."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sde_jax.processes.together import INTERRUPTED, end


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGTERM ends this process and its others at once with `INTERRUPTED`, also inside a compiled program.

    Code that handles the signal itself, as training does, does so. Outside the main thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.signal(signal.SIGTERM, _noted)
    written_to = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    thread = threading.Thread(target=_await_signal, args=(read,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(written_to)
        os.close(write)
        thread.join()
        os.close(read)
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def deferred() -> Iterator[None]:
    """Within it SIGTERM waits, so that files which belong together are written together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        if came:
            os.kill(os.getpid(), signal.SIGTERM)


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python writes the signal's number to the pipe, whatever the main thread is doing."""


def _await_signal(pipe: int) -> None:
    while number := os.read(pipe, 1):
        if number[0] == signal.SIGTERM and signal.getsignal(signal.SIGTERM) is _noted:
            end("SIGTERM: ended; what was not finished was not written; run the same command again", INTERRUPTED)
