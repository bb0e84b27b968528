"""The errors that a user is meant to read."""

import functools
import inspect
import typing
from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeVar


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
        return all(hasattr(value, name) for name in vars(kind) if not name.startswith("_"))
    return inspect.isabstract(kind) or isinstance(value, kind)
