"""The order of classes that are known by their names, and which class is meant by a name or a number."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from sde_jax.errors import InputError, decimal


def in_natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names, each once, as people sort them: "2" before "10", "run 9" before "run 10".

    Names that are all numbers are in the order of their values; otherwise the digits within a name compare as whole
    numbers and the rest as text. Names that are equal so ("1" and "01") are in the order of their text.
    """
    names = set(names)
    if all(math.isfinite(math.inf if (value := decimal(name)) is None else value) for name in names):
        return tuple(sorted(names, key=lambda name: (Decimal(name), name)))
    return tuple(sorted(names, key=lambda name: (_chunks(name), name)))


def classes_asked(asked: str, count: int, names: Sequence[str] = (), whose: str = "") -> tuple[int, ...]:
    """Return the indices of the classes in a text, which are set apart by commas; one may stand there twice.

    A class is meant by its name, which may hold commas, or else by its index, 0 to count - 1: where a class is called
    "3", "3" is that class, whatever its index. whose: the classes are, for a message. Raises `InputError`, a text to
    stand behind what was asked, for what is neither, and for a name that several classes have.
    """
    parts, found, start = asked.split(","), [], 0
    while start < len(parts):
        ends = range(len(parts), start, -1)
        end = next((end for end in ends if ",".join(parts[start:end]).strip() in names), start + 1)
        found.append(_index(",".join(parts[start:end]).strip(), count, names, whose))
        start = end
    return tuple(found)


def class_shown(index: int, names: Sequence[str] = ()) -> str:
    """Return a class's index with its name behind it, as "3 (cat)", where it has another name than that."""
    return f"{index} ({names[index]})" if 0 <= index < len(names) and names[index] != str(index) else str(index)


def all_shown(names: Sequence[str]) -> dict[str, list[str]]:
    """Return {"class_names": every class as `class_shown`}, for the facts of a command; {} where there are no names."""
    return {"class_names": [class_shown(index, names) for index in range(len(names))]} if names else {}


def _index(text: str, count: int, names: Sequence[str], whose: str) -> int:
    called = [index for index, name in enumerate(names) if name == text]
    if len(called) > 1:
        raise InputError(f"classes {', '.join(map(str, called))} are called {text!r}; expected the index of one")
    if called:
        return called[0]
    number = re.fullmatch("[0-9]+", text) is not None
    if number and len(text) < 10 and int(text) < count:
        return int(text)
    expected = f"expected classes 0 to {count - 1}" if number else f"expected an integer from 0 to {count - 1}"
    named = f", or a name such as {', '.join(map(repr, names[:3]))}" if names else ""
    near = difflib.get_close_matches(text, names, n=2)
    advice = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise InputError(f"{expected}{whose}{named}, not {text!r}{advice}")


def _chunks(name: str) -> list[tuple[int, str]]:
    """Return text and runs of digits in turn, the text first; of digits the length without leading zeros counts first.

    Not as integers: Python converts no more than some thousand digits.
    """
    parts = re.split("([0-9]+)", name)
    values = [part.lstrip("0") if at % 2 else part for at, part in enumerate(parts)]
    return [(len(part) if at % 2 else 0, part) for at, part in enumerate(values)]
