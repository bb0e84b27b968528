"""What the values of flags may be: text to a value, or `argparse.ArgumentTypeError`."""

import argparse
import math
import re
from pathlib import Path

from sde_jax.errors import decimal, shown


def path(text: str) -> Path:
    """Return a path, which may not be nothing, nor bytes that are not UTF-8: no record of a run can hold these."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise argparse.ArgumentTypeError(f"{shown(text)}: a path that is not UTF-8; rename it")
    return Path(text)


def shape(text: str) -> tuple[int, ...]:
    """Return height, width and channels."""
    sizes = tuple(count(size.strip()) for size in text.split(","))
    if len(sizes) != 3:
        raise argparse.ArgumentTypeError(f"{text!r}: expected height,width,channels")
    return sizes


def names(text: str) -> tuple[str, ...]:
    """Return names set apart by commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def given(text: str) -> str:
    """Return text, which may not be nothing."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a name, got nothing")
    return text.strip()


def counts(text: str) -> tuple[int, ...]:
    """Return numbers set apart by commas, each once."""
    return tuple(dict.fromkeys(count(number) for number in names(text)))


def labels(text: str) -> str:
    """Return names or indices of classes, set apart by commas: which there are, a run knows."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected classes, got nothing")
    return text


def number(text: str) -> float:
    """Return a finite number."""
    value = real(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number")
    return value


def real(text: str) -> float:
    """Return a number, infinity or NaN."""
    value = decimal(text)
    if value is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number")
    return value


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    if not 0 <= number(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to 1")
    return number(text)


def interval(text: str) -> tuple[float, float]:
    """Return low and high, 0 <= low < high."""
    bounds = tuple(map(number, text.split(",")))
    if len(bounds) != 2 or not 0 <= bounds[0] < bounds[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: expected LOW,HIGH with 0 <= LOW < HIGH")
    return bounds


def checkpoints(text: str) -> str | tuple[int, ...]:
    """Return "last", "all", or steps."""
    return text if text in ("last", "all") else counts(text)


def count(text: str) -> int:
    """Return an integer from 1 on."""
    return _integer(text, 1, 2**31)


def count_or_none(text: str) -> int:
    """Return an integer from 0 on, 0 for none."""
    return _integer(text, 0, 2**31)


def seed(text: str) -> int:
    """Return an integer from 0 on."""
    return _integer(text, 0, 2**32)


def _integer(text: str, low: int, end: int) -> int:
    if not re.fullmatch(r"-?[0-9]+", text) or not low <= int(text) < end:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer from {low} to {end - 1}")
    return int(text)
