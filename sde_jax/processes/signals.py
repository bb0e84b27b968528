"""What signals do to commands that have nothing to save."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from sde_jax.processes.together import INTERRUPTED, end

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What asks a process to end: a scheduler, and a terminal or a connection that is lost."""

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Within it, the signals of `numbers` call `handler`; one that was ignored before, as by `nohup`, still is."""
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in heeded.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP end this process and its others at once with `INTERRUPTED`.

    Also inside a compiled program. Code that handles the signals itself, as training does, does so. Outside the main
    thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handled(ENDING, _noted):
        read, write = os.pipe()
        os.set_blocking(write, False)
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


@contextmanager
def deferred() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP wait, so that files which belong together are written together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with handled(ENDING, lambda number, frame: came.append(number)):
            yield
    finally:
        for number in came:
            os.kill(os.getpid(), number)


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python writes the signal's number to the pipe, whatever the main thread is doing."""


def _await_signal(pipe: int) -> None:
    while number := os.read(pipe, 1):
        if number[0] in ENDING and signal.getsignal(number[0]) is _noted:
            name = signal.Signals(number[0]).name
            end(f"{name}: ended; what was not finished was not written; run the same command again", INTERRUPTED)
