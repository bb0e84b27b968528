"""What a report accepts: each check returns the array it was given, or says in one line what to mend."""

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError


def array_of(name: str, values: ArrayLike) -> np.ndarray:
    """The values as an array of one shape. Raises InputError where they have none."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} is a {type(values).__name__} that is no array; expected a regular array") from error


def real_vector(name: str, values: ArrayLike) -> np.ndarray:
    """The values as a float64 vector [n], n >= 1; they may be NaN.

    Raises InputError naming `name` where `values` is not a non-empty vector of real numbers.
    """
    array = array_of(name, values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iuf":
        raise InputError(f"{name} is {_kind(array)}; expected a non-empty vector of real numbers")
    return array.astype(np.float64)


def finite_vector(name: str, values: ArrayLike) -> np.ndarray:
    """The values as a float64 vector [n], n >= 1, every one of them finite.

    Raises InputError where `values` is no such vector.
    """
    array = real_vector(name, values)
    broken = np.flatnonzero(~np.isfinite(array))
    if broken.size:
        raise InputError(
            f"{name} has {broken.size} of {array.size} values that are not finite, the first at index "
            f"{broken[0]}; expected finite numbers: find their cause or leave them out"
        )
    return array


def same_length(name: str, first: np.ndarray, other: str, second: np.ndarray) -> None:
    """Raise InputError unless both arrays have as many rows."""
    if len(first) != len(second):
        raise InputError(f"{name} has {len(first)} values and {other} has {len(second)}; expected one for each")


def image_batch(name: str, images: ArrayLike, *, leading: str = "n") -> np.ndarray:
    """The images as a uint8 array [*leading, h, w, c] with c = 1 (grey) or 3 (RGB) and no empty axis.

    `leading` names the leading axes, separated by commas, e.g. "frames, n". Raises InputError for another
    rank, dtype or c.
    """
    array = array_of(name, images)
    rank = leading.count(",") + 4
    if array.ndim != rank or array.dtype != np.uint8 or array.size == 0 or array.shape[-1] not in (1, 3):
        raise InputError(f"{name} is {_kind(array)}; expected uint8 [{leading}, h, w, c], none empty, with c = 1 or 3")
    return array


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
