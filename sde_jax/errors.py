"""The errors that a user is meant to read."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

GAVE_OUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Codes of an `OSError` that say nothing of the place: the disk is full, its quota is spent, or it is broken."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)", re.IGNORECASE)


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line (or one line a problem) and says what was got, what was expected and what to do. The
    command line prints it without a traceback and exits with code 2.
    """


class RunError(RuntimeError):
    """A run stopped itself rather than go on with wrong numbers.

    The message says where and why. The command line prints it without a traceback and exits with code 3.
    """


def shown(text: object, most: int = 200) -> str:
    """Return foreign text for a message: one line of at most `most` characters, with all that does not print escaped.

    Names of tensors, columns, labels, keys and files come from whoever made them: a line break or a terminal's control
    sequence in one would forge lines of ours. Letters of all languages stay as they are.
    """
    text = str(text)
    cut = text if len(text) <= most else f"{text[: most // 2]}...{text[len(text) - most // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut)


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Within it a file is written; an `OSError`, which of a full disk names no file, is raised as what names `path`.

    A `RunError` where the disk gave out: the command was right, and may be run again once there is room. Else an
    `InputError`: the place was wrong from the beginning.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in GAVE_OUT:
            advice = "make room there, and run the same command again"
            raise RunError(f"{path}: cannot be written ({reason}); {advice}") from error
        raise InputError(f"{path}: cannot be written ({reason}); choose another place") from error


def whole(value: object, least: int, most: float = float("inf")) -> bool:
    """Return whether a value is a whole number from `least` to `most`: an int of Python or NumPy, no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def decimal(text: str) -> float | None:
    """Return the number that a text is, or None: decimal notation, in ASCII, as "-1.5e3", and inf and nan.

    Python's `float` takes more for numbers: 2020_01_01 for 20200101, and digits of other scripts.
    """
    return float(text) if _DECIMAL.fullmatch(text) else None
