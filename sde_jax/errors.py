"""The errors that a user is meant to read."""

import errno
import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, TypeVar

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


class NumericalError(RuntimeError):
    """What was computed is not what was promised: NaN or infinity, a tolerance not reached, data out of their domain.

    Raised where numbers arrive on the host. Inside `jax.jit` NaN comes back in their place, and `checked` raises.
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


Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def takes_components(function: Decorated) -> Decorated:
    """Make a function, or a class's constructor, refuse what is no component where its annotations say one.

    A class in the place of an instance is refused for every argument, and so is a value without the methods of the
    protocol, or not of the concrete class, that one is annotated with; None is left to the function. Raises
    `InputError`.
    """
    if isinstance(function, type):
        function.__init__ = takes_components(function.__init__)
        return function  # pyright: ignore[reportReturnType]
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        for name, value in signature.bind_partial(*given, **named).arguments.items():
            if isinstance(value, type):
                raise InputError(
                    f"{name} = {value.__name__}, a class: expected an instance, such as {value.__name__}()"
                )
            kind = signature.parameters[name].annotation
            kinds = [k for k in (typing.get_args(kind) or (kind,)) if k is not type(None)]
            if value is not None and len(kinds) == 1 and not _fits(kinds[0], value):
                raise InputError(f"{name} = {value!r:.80}: expected a {kinds[0].__name__}")
        return function(*given, **named)

    return checked  # pyright: ignore[reportReturnType]


def _fits(kind: Any, value: object) -> bool:
    """Return whether a value has the methods of a protocol, or is of a concrete class of ours; True of other kinds."""
    if not isinstance(kind, type) or not kind.__module__.startswith("sde_jax."):
        return True
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name, member in vars(kind).items() if name[0] != "_" and callable(member))
    return inspect.isabstract(kind) or isinstance(value, kind)
