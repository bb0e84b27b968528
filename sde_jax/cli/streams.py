"""Standard output and standard error, to which nobody may be listening."""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PATIENCE = 5.0
"""Seconds for which a reader that has stopped reading is waited for, before what is said is dropped."""
UNREAD = 128 + 13
"""The exit code of a command whose reader is gone: that of a program which SIGPIPE ended, as it does Unix tools."""
OUT, ERROR = "standard output", "standard error"


@contextmanager
def standard() -> Iterator[None]:
    """Within it standard error takes all that is said, whoever reads it, and standard output fails by its name.

    A descriptor that is closed at the start is opened, so that no file of ours takes its number. Where the reader of
    standard output is gone, the program exits quietly with `UNREAD`, as Unix tools do (`sde-jax configs | head -1`);
    where it cannot be written otherwise, with 3 and one line. `never_fail` lets it take all too.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _own(sys.stdout, 1, OUT), _own(sys.stderr, 2, ERROR)
    never_fail(sys.stderr)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename != OUT:
            raise
        if error.errno == errno.EPIPE:
            sys.exit(UNREAD)
        print(f"sde-jax: {OUT}: cannot be written ({error.strerror})", file=sys.stderr)
        sys.exit(3)
    finally:
        sys.stdout, sys.stderr = before


def never_fail(stream: TextIO) -> None:
    """Let a stream of `standard` drop what cannot be written, or is not read within `PATIENCE`."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(stream, io.TextIOWrapper) and isinstance(raw, _Bytes):
        stream.reconfigure(errors="backslashreplace")
        raw.dropping = True


def say_to(descriptor: int) -> None:
    """Let what is printed go to this descriptor."""
    sys.stdout.flush()
    sys.stdout = _text(sys.stdout, descriptor, OUT)


def _own(stream: TextIO | None, descriptor: int, name: str) -> TextIO:
    """Return the stream to speak to: what another program has put in the place of its own is left there."""
    try:
        replaced = stream is not None and stream.fileno() != descriptor
    except OSError:  # it has no descriptor
        replaced = True
    return stream if stream is not None and replaced else _text(stream, descriptor, name)


def _text(stream: TextIO | None, descriptor: int, name: str) -> TextIO:
    """Return a stream of lines to a descriptor, encoded as the stream in its place, of which there may be none."""
    known = stream or io.TextIOWrapper(io.BytesIO())
    raw = _Bytes(descriptor, name)
    return io.TextIOWrapper(io.BufferedWriter(raw), known.encoding, known.errors, line_buffering=True)


class _Bytes(io.RawIOBase):
    """What is written to a descriptor. An `OSError` names `name`, and comes once; where `dropping`, none does."""

    def __init__(self, descriptor: int, name: str):
        self._descriptor, self.name, self.dropping = descriptor, name, False
        self._patience = PATIENCE

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, said, /) -> int:
        try:
            if self._is_read():
                return os.write(self._descriptor, said[: select.PIPE_BUF])  # which does not block now
        except BlockingIOError:  # another process was first
            return 0
        except OSError as error:
            if not self.dropping:
                self.dropping = True  # what is left in the buffers
                raise OSError(error.errno, error.strerror, self.name) from None
        return len(said)

    def _is_read(self) -> bool:
        """Wait until the descriptor takes more; return whether it does."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        ready = bool(poll.poll(1000 * self._patience if self.dropping else None))
        self._patience = PATIENCE if ready else 0.0
        return ready
