"""Pickles read as data: plain containers and what a table names, and nothing else.

A pickle is a program for a stack machine. Python's own reader imports and calls whatever the program names; this
one runs the same instructions and can import nothing. A name is looked up in the table that the caller gives, which
holds the caller's own values; an instruction that would make an object of a class is not known here.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from sde_jax import errors
from sde_jax.checkpoints.tree import require_plain
from sde_jax.errors import InputError


@dataclass(frozen=True)
class Constructor:
    """The entry of a name that a pickle may call, with arguments that `build` has to check."""

    build: Callable[..., Any]


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may say: `names` {"module name": value}, the values of persistent ids, and the states of BUILD.

    `stored` returns the value of a persistent id. `state` is given an object and the state that the pickle would set
    on it, sets nothing, and raises `InputError` unless the object is the same without.
    """

    names: Mapping[str, Any]
    stored: Callable[[Any], Any]
    state: Callable[[Any, Any], None]


def read_pickle(stream: BinaryIO, vocabulary: Vocabulary) -> Any:
    """Return the plain value of a pickle, and leave the stream behind it.

    Raises `InputError` for what the vocabulary does not have, and other exceptions where the pickle is damaged.
    """
    machine = _Machine(vocabulary)
    for opcode, argument, _ in pickletools.genops(stream):
        machine.step(opcode.name, argument)
    [value] = machine.stack
    require_plain(value)
    return value


def mapping(pairs: Any = ()) -> dict[Any, Any]:
    """Return the dict of pairs, or of a dict, whose keys must be numbers or text."""
    entries = list(pairs.items() if isinstance(pairs, dict) else pairs)
    require_keys([key for key, _ in entries])
    return dict(entries)


def require_keys(keys: list[Any] | tuple[Any, ...]) -> list[Any]:
    """Return values that can be hashed at once: numbers, text or None (a nested tuple can take for ever)."""
    for key in keys:
        if not isinstance(key, str | bytes | int | float | np.generic | None):
            raise InputError(f"has a {type(key).__name__} as a key or in a set; expected numbers or text")
    return list(keys)


def shown(value: Any) -> str:
    """Return text for a message: a value's own if it is text, else its type (a nested tuple can be endless)."""
    return errors.shown(value, 80) if isinstance(value, str) else f"a {type(value).__name__}"


class _Machine:
    """The stack, the marks in it, and the memo."""

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Run one instruction; raises `InputError` if it is not among those of plain values."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _VALUES:
            self.stack.append(_VALUES[name]())
        elif name in _MADE:
            self.stack.append(_MADE[name](self, argument))
        elif name in _DONE:
            _DONE[name](self, argument)
        elif name not in _NOTHING:
            what = f"{name} {shown(argument)}" if argument is not None else name
            raise InputError(f"contains the instruction {what}, which makes no tensor or plain container: refused")

    def pop(self, count: int) -> list[Any]:
        """Take the last values off the stack."""
        if len(self.stack) < count:
            raise ValueError("an instruction found too few values")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def marked(self) -> list[Any]:
        """Take the values since the last mark off the stack, and the mark."""
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def extend(self, values: list[Any]) -> None:
        """Append values to the list on the stack."""
        self.top(list).extend(values)

    def add(self, values: list[Any]) -> None:
        """Add values to the set on the stack."""
        self.top(set).update(require_keys(values))

    def assign(self, values: list[Any]) -> None:
        """Put keys and values, in turn, into the dict on the stack."""
        self.top(dict).update(_paired(values))

    def top(self, kind: type) -> Any:
        """Return the container on the stack, of the kind that is to be filled."""
        if type(self.stack[-1]) is not kind:
            raise InputError(f"fills a {type(self.stack[-1]).__name__} as if it were a {kind.__name__}: refused")
        return self.stack[-1]

    def drop(self) -> None:
        """Take one value or mark off."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop(1)

    def remember(self, index: int) -> None:
        """Keep the last value under a number."""
        self.memo[index] = self.stack[-1]

    def named(self, module: Any, name: Any) -> Any:
        """Return what a global stands for."""
        # A name that is no text could be a tuple without end, which no message must show.
        text = isinstance(module, str) and isinstance(name, str)
        value = self.vocabulary.names.get(f"{module} {name}") if text else None
        if value is None:
            raise InputError(
                f"contains {shown(module)}.{shown(name)}, which is not a tensor or a plain container: refused; "
                "expected weights alone, such as a state_dict()"
            )
        return value

    def call(self) -> Any:
        """Return what a constructor builds."""
        function, arguments = self.pop(2)
        if not isinstance(function, Constructor) or not isinstance(arguments, tuple):
            raise InputError(f"calls a {type(function).__name__}: refused")
        return function.build(*arguments)

    def settle(self) -> None:
        """Check the state that would be set on the last value."""
        target, state = self.pop(2)
        self.vocabulary.state(target, state)
        self.stack.append(target)


def _paired(values: list[Any]) -> dict[Any, Any]:
    return mapping(zip(values[::2], values[1::2], strict=True))


_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_NOTHING = {"PROTO", "FRAME", "STOP"}
_VALUES: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
_MADE: dict[str, Callable[[_Machine, Any], Any]] = {
    "LIST": lambda machine, _: machine.marked(),
    "DICT": lambda machine, _: _paired(machine.marked()),
    "FROZENSET": lambda machine, _: frozenset(require_keys(machine.marked())),
    "TUPLE": lambda machine, _: tuple(machine.marked()),
    "TUPLE1": lambda machine, _: tuple(machine.pop(1)),
    "TUPLE2": lambda machine, _: tuple(machine.pop(2)),
    "TUPLE3": lambda machine, _: tuple(machine.pop(3)),
    "DUP": lambda machine, _: machine.stack[-1],
    "GET": lambda machine, index: machine.memo[index],
    "BINGET": lambda machine, index: machine.memo[index],
    "LONG_BINGET": lambda machine, index: machine.memo[index],
    "GLOBAL": lambda machine, name: machine.named(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.named(*machine.pop(2)),
    "REDUCE": lambda machine, _: machine.call(),
    "BINPERSID": lambda machine, _: machine.vocabulary.stored(machine.pop(1)[0]),
}
_DONE: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.drop(),
    "POP_MARK": lambda machine, _: machine.marked().clear(),
    "PUT": lambda machine, index: machine.remember(index),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.marked()),
    "ADDITEMS": lambda machine, _: machine.add(machine.marked()),
    "SETITEM": lambda machine, _: machine.assign(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.assign(machine.marked()),
    "BUILD": lambda machine, _: machine.settle(),
}
