"""The processes of a job end together: one that fails tells the others why, and one that is gone is named."""

import math
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import jax
import numpy as np
from jax.sharding import Mesh

from sde_jax.errors import InputError, RunError
from sde_jax.processes import job
from sde_jax.processes.agreement import DisagreementError
from sde_jax.processes.connect import connect
from sde_jax.processes.line import Line, Notice

ENDED = 76
"""The exit code of a process that another one or the watchdog ended: the same command may well succeed."""
INTERRUPTED = 75
"""The exit code of a process that a signal ended (EX_TEMPFAIL: run the same command again)."""
HEARING = 10.0
"""Seconds that are left to say why a process ends."""
CONSEQUENCE = 2.0
"""Seconds in which a process that is gone is named, before an error is taken to be this process's own."""


class _Job:
    """Whether this process is inside `together`, its line to the others, and which thread ends it."""

    inside = False
    line: Line | None = None
    ending = threading.Lock()


@contextmanager
def together() -> Iterator[None]:
    """Within it, processes end together: what one raises, or that it is gone, ends the others within seconds.

    The one that fails prints its error, tells the others and ends without unwinding further (what it would wait for
    there may never come), with code 2 for an `InputError`, 3 for a `RunError` or `OSError`, `ENDED` where a collective
    failed, 1 for others, which end with a traceback. The others print the same, with its number, and end with `ENDED`.
    Those that come to the end of the block wait there for the others. Inside another `together` a block waits for
    nobody, but fails at its own end: before what surrounds it is unwound. The outermost begins with `connect`. With
    one process it does nothing.
    """
    if job.count() == 1:
        yield
        return
    outermost = not _Job.inside
    _Job.inside = True
    if outermost and _Job.line is not None:
        _Job.line.listen(_hear, _gone)
    left: BaseException | None = None
    try:
        if outermost:
            devices = np.array(job.devices())
            connect(Mesh(devices.reshape(math.gcd(job.count(), devices.size), -1), ("process", "local")))
        yield
    except BaseException as error:
        if not _agreed(error):
            _fail(error)
        left = error
    if outermost:
        job.meet()
        _Job.inside = False
        if _Job.line is not None:
            _Job.line.bye()
    if left is not None:
        raise left


def attach(line: Line) -> None:
    """Let what ends this process be told to the others by this line."""
    _Job.line = line


def end(text: str, code: int = ENDED, stacks: bool = False) -> NoReturn:
    """Print why, and end this process and the others with `code`, from any thread; with all threads' stacks, or not."""
    _end(Notice(job.index(), text, code, stacks), code)


def _agreed(error: BaseException) -> bool:
    """Return whether an error is raised on every process, so that none need be told."""
    return isinstance(error, DisagreementError) or (
        isinstance(error, SystemExit) and error.code in (None, 0, INTERRUPTED)
    )


def _fail(error: BaseException) -> NoReturn:
    if not isinstance(error, InputError | RunError):
        time.sleep(CONSEQUENCE)
    if isinstance(error, InputError | RunError | KeyboardInterrupt):
        text = str(error) or type(error).__name__
    elif _is_of_collective(error):
        text = f"the processes lost each other ({str(error).splitlines()[0]}); run the same command again"
    else:
        text = "".join(traceback.format_exception(error)).rstrip()
    _end(Notice(job.index(), text, ENDED), _code(error))


def _is_of_collective(error: BaseException) -> bool:
    """Return whether an error says that other processes did not come, or went, rather than what this one did wrong."""
    signs = r"Gloo|NCCL|Coordination|^(DEADLINE_EXCEEDED|UNAVAILABLE|ABORTED)"
    return isinstance(error, jax.errors.JaxRuntimeError) and re.search(signs, str(error)) is not None


def _code(error: BaseException) -> int:
    if _is_of_collective(error):
        return ENDED
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    codes = {InputError: 2, RunError: 3, OSError: 3, KeyboardInterrupt: 130}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def _gone(process: int) -> Notice:
    return Notice(process, "is gone (killed, out of memory, or its machine is lost)", ENDED)


def _hear(notice: Notice) -> None:
    _end(notice, notice.code)


def _end(notice: Notice, code: int) -> NoReturn:
    if not _Job.ending.acquire(blocking=False):
        threading.Event().wait()  # another thread ends this process, for a reason that came first
    who = f"{job.named(notice.process)}: " if job.count() > 1 else ""
    _say(f"sde-jax: {who}{notice.text}" + (f"\n{_stacks()}" if notice.stacks else ""))
    mine = notice.process == job.index()
    if _Job.line is not None and (mine or job.is_first()):
        _Job.line.tell(notice)
    os._exit(code)


def _say(text: str) -> None:
    """Print to standard error, after what standard output still holds; nobody need listen, nor read to the end."""

    def say() -> None:
        for speak in (lambda: sys.stdout.flush(), lambda: print(text, file=sys.stderr, flush=True)):
            with suppress(OSError, ValueError, AttributeError):
                speak()

    speaker = threading.Thread(target=say, daemon=True)
    speaker.start()
    speaker.join(HEARING)


def _stacks() -> str:
    """Return what every thread is doing, the innermost call first."""
    # faulthandler writes to a descriptor alone, and holds all threads until that is read.
    names, lines = {thread.ident: thread.name for thread in threading.enumerate()}, []
    for thread, frame in sys._current_frames().items():
        lines.append(f"Thread {names.get(thread, thread)}:")
        for inner, number in traceback.walk_stack(frame):
            lines.append(f'  File "{inner.f_code.co_filename}", line {number} in {inner.f_code.co_name}')
    return "\n".join(lines)
