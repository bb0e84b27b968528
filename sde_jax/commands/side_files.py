"""Files that commands leave beside a run for its pages: whoever damaged them, what is wrong is told in a line."""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from PIL import Image

from sde_jax.archives import opened_npz
from sde_jax.errors import InputError, shown
from sde_jax.placing import ordinary

ADVICE = "run the command that makes it again, or remove it"


def facts(path: Path, numbers: Collection[str] = ()) -> dict[str, Any]:
    """Return the object that a JSON file holds, {} where there is no file.

    Raises `InputError` where the file is damaged, holds anything else, or one of `numbers` is there and is none.
    """
    try:
        found = json.loads(ordinary(path).read_text()) if path.exists() else {}
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({shown(error)}); {ADVICE}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: {shown(found, 40)}: expected a JSON object; {ADVICE}")
    for name in numbers:
        value = found.get(name)
        if value is not None and not is_number(value):
            raise InputError(f"{path}: {name} = {shown(repr(value), 40)}: expected a number; {ADVICE}")
    return found


def is_number(value: Any) -> bool:
    """Return whether a value of JSON is a number that a float can hold."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def arrays(path: Path, names: Collection[str] = ()) -> Mapping[str, np.ndarray]:
    """Return the arrays of an .npz file of numbers and text, {} where there is no file.

    Raises `InputError` where the file is damaged, one of `names` is missing or holds no numbers, or an array holds
    neither numbers nor text.
    """
    try:
        if not path.exists():
            return {}
        with ordinary(path).open("rb") as file, opened_npz(file) as members:
            found = {name: members[name] for name in members}
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, MemoryError, BadZipFile, ZlibError) as error:
        raise InputError(f"{path}: damaged ({shown(error)}); {ADVICE}") from error
    missing = [name for name in names if name not in found]
    odd = [name for name, array in found.items() if array.dtype.kind not in ("fiub" if name in names else "fiubU")]
    if missing or odd:
        wanted = "numbers" if odd and odd[0] in names else "numbers or text"
        what = f"no array {missing[0]!r} in it" if missing else f"{shown(odd[0])!r}: expected {wanted}"
        raise InputError(f"{path}: {what}; {ADVICE}")
    return found


def picture(path: Path) -> Image.Image:
    """Return a picture that a command left, loaded; raises `InputError` where the file is damaged."""
    try:
        with Image.open(ordinary(path)) as found:
            return found.copy()
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders fail on damaged files with almost any type
        raise InputError(f"{path}: damaged ({shown(error)}); {ADVICE}") from error


@contextmanager
def damage_told(directory: Path) -> Iterator[None]:
    """Raise what the content of side files makes fail, where no rule of theirs is broken, as an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        what = f"{type(error).__name__}: {shown(error)}"
        raise InputError(
            f"{directory}: a file beside the run is not as its command left it ({what}); remove the .json, .npz and "
            ".jsonl files that were changed, and run their commands again"
        ) from error
