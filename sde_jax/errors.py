"""The errors that a user is meant to read."""

import re
from numbers import Integral

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


def whole(value: object, least: int, most: float = float("inf")) -> bool:
    """Return whether a value is a whole number from `least` to `most`: an int of Python or NumPy, no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def decimal(text: str) -> float | None:
    """Return the number that a text is, or None: decimal notation, in ASCII, as "-1.5e3", and inf and nan.

    Python's `float` takes more for numbers: 2020_01_01 for 20200101, and digits of other scripts.
    """
    return float(text) if _DECIMAL.fullmatch(text) else None
