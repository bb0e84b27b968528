"""Images, masks and tables from the files that a user has."""

from pathlib import Path

import numpy as np

from sde_jax.data.image_decoding import decoded
from sde_jax.errors import InputError, decimal
from sde_jax.placing import ordinary


def levels_of(path: Path, levels: int) -> np.ndarray:
    """Return the image [h, w, c] in grey levels 0 .. levels - 1, float32.

    A picture's 0 .. 255 are spread over the levels. A .npy file holds levels as they are, real numbers, and NaN for
    what is missing. Raises `InputError` for what is neither.
    """
    if path.suffix != ".npy":
        return decoded(_content(path), f"{path}").astype(np.float32) * ((levels - 1) / 255)
    values = _array(path)
    if values.ndim != 3 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: {values.dtype} of shape {values.shape}: expected real numbers [h, w, c]")
    return values.astype(np.float32)


def mask_of(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return which pixels are known, bool [h, w, 1]: white in a picture, true or 1 in a .npy [h, w] or [h, w, c].

    Raises `InputError` for another size, for values that are neither end, saying which, and for a pixel of which some
    channels are known and others not.
    """
    array = path.suffix == ".npy"
    values, ends = (_array(path), (0, 1)) if array else (decoded(_content(path), f"{path}"), (0, 255))
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[:2] != shape[:2] or values.shape[2] not in (1, 3, shape[2]):
        size = " x ".join(map(str, values.shape[:2] if values.ndim == 3 else values.shape))
        raise InputError(f"--mask={path}: {size} pixels: expected {shape[0]} x {shape[1]}, as the run's images are")
    wrong = values[~np.isin(values, ends)]
    if wrong.size:
        found = ", ".join(f"{value:g}" for value in np.unique(wrong)[:4].astype(float))
        kinds = "0 (hidden) and 1 (known), or bool" if array else "0 (black, hidden) and 255 (white, known)"
        raise InputError(
            f"--mask={path}: {wrong.size:,} of {values.size:,} values are neither end ({found}): expected {kinds}; save"
            " it without smoothing, as PNG and not as JPEG, and with 255 for 1"
        )
    if (values != values[..., :1]).any():
        raise InputError(f"--mask={path}: coloured: expected black and white, as a pixel is known in all its channels")
    return values[..., :1] == ends[1]


def table_of(path: Path, columns: tuple[int, ...]) -> np.ndarray:
    """Return a table of numbers set apart by commas, float32 [n, columns]; lines that begin with # are left out.

    Raises `InputError` for other than these numbers of columns.
    """
    try:
        lines = [line for line in _content(path).decode().splitlines() if line.strip() and line.strip()[0] != "#"]
        rows = [[_number(cell.strip()) for cell in line.split(",")] for line in lines]
    except ValueError as error:
        raise InputError(f"{path}: {error}: expected lines of numbers set apart by commas, or # and a remark") from None
    found = {len(row) for row in rows}
    if len(found) != 1 or not found <= set(columns):
        expected = " or ".join(str(n) for n in dict.fromkeys(columns))
        raise InputError(f"{path}: lines of {sorted(found)} numbers: expected {expected}: row, column, values")
    return np.array(rows, np.float32)


def _number(text: str) -> float:
    value = decimal(text)
    if value is None:
        raise ValueError(f"{text!r} is no number")
    return value


def _array(path: Path) -> np.ndarray:
    _content(path)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no array that can be read ({error})") from None
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: several arrays: expected one, as numpy.save writes it")
    return values


def _content(path: Path) -> bytes:
    try:
        return ordinary(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
