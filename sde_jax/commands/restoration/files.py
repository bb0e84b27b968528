"""Images, masks and tables from the files that a user has."""

from pathlib import Path

import numpy as np

from sde_jax.data.image_decoding import decoded
from sde_jax.errors import InputError
from sde_jax.placing import ordinary

_LEAST_KNOWN = 128


def levels_of(path: Path, levels: int) -> np.ndarray:
    """Return the image [h, w, c] in grey levels 0 .. levels - 1, float32.

    A picture's 0 .. 255 are spread over the levels. A .npy file holds levels as they are, real numbers, and NaN for
    what is missing. Raises `InputError` for what is neither.
    """
    if path.suffix != ".npy":
        return decoded(_content(path), f"{path}").astype(np.float32) * ((levels - 1) / 255)
    _content(path)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no array that can be read ({error})") from None
    if values.ndim != 3 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: {values.dtype} of shape {values.shape}: expected real numbers [h, w, c]")
    return values.astype(np.float32)


def mask_of(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return which pixels are known, bool [h, w, 1]: those lighter than half. Raises `InputError` for another size."""
    picture = decoded(_content(path), f"{path}")
    if picture.shape[:2] != shape[:2]:
        raise InputError(
            f"--mask={path}: {picture.shape[0]} x {picture.shape[1]} pixels: expected {shape[0]} x {shape[1]}, as the "
            "run's images are"
        )
    return picture.mean(-1, keepdims=True) >= _LEAST_KNOWN


def table_of(path: Path, columns: tuple[int, ...]) -> np.ndarray:
    """Return a table of numbers set apart by commas, float32 [n, columns]; lines that begin with # are left out.

    Raises `InputError` for other than these numbers of columns.
    """
    try:
        lines = [line for line in _content(path).decode().splitlines() if line.strip() and line.strip()[0] != "#"]
        rows = [[float(cell) for cell in line.split(",")] for line in lines]
    except ValueError as error:
        raise InputError(f"{path}: {error}: expected lines of numbers set apart by commas, or # and a remark") from None
    found = {len(row) for row in rows}
    if len(found) != 1 or not found <= set(columns):
        expected = " or ".join(str(n) for n in dict.fromkeys(columns))
        raise InputError(f"{path}: lines of {sorted(found)} numbers: expected {expected}: row, column, values")
    return np.array(rows, np.float32)


def _content(path: Path) -> bytes:
    try:
        return ordinary(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
