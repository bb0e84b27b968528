"""What the axes of an array of examples are: stated, or told by their sizes where these leave no doubt."""

import numpy as np

from sde_jax.errors import InputError

ORDER = "tdhwc"
"""Time, depth, height, width, channels: the order that axes are put in."""
_FEW = 4
_PICTURE = (1, 3)


def check_axes(axes: str) -> None:
    """Raise `InputError` unless each letter is one of `ORDER`, each once."""
    if len(set(axes)) < len(axes) or not set(axes) <= set(ORDER):
        raise InputError(
            f"axes = {axes!r}: expected the axes of an example, each once: t (time), d (depth), h (height), w (width),"
            " c (channels, columns), such as 'hwc', 'chw' or 'hw'; '' where their sizes tell"
        )


def channels_last(data: np.ndarray, axes: str, where: str, *, per_feature: bool) -> np.ndarray:
    """Return a view of data [n, ...] with axes in the `ORDER`, and an axis of one channel where `axes` states none.

    Of examples of three axes without a statement: [height, width, channels] has up to four channels, of which 1 and 3
    are likelier, or equal sides. Those of two axes are [..., columns], of more as of three, where `per_feature` says
    that real numbers are scaled along the last. Raises `InputError` where `axes` are others than the data have, where
    channels seem to be first, and where they may be first or last.
    """
    shape = data.shape[1:]
    if axes:
        if len(axes) != len(shape):
            raise InputError(f"{where} has examples of shape {shape} and axes = {axes!r}; expected a letter for each")
        ordered = np.transpose(data, [0, *(1 + axes.index(letter) for letter in ORDER if letter in axes)])
        return ordered if "c" in axes else ordered[..., None]
    if len(shape) == 3 and not _are_last(shape):
        first = "look like" if channels_seem_first(shape) else "may be [height, width, channels] or"
        raise InputError(
            f"{where} has examples of shape {shape}, which {first} [channels, height, width]; expected channels last,"
            " or a statement: set axes to 'chw', and they are put last, or to 'hwc', if they are"
        )
    if per_feature and data.dtype.kind == "f":
        _require_features(shape, where)
    return data


def channels_seem_first(shape: tuple[int, ...]) -> bool:
    """Return whether an example's shape is that of [channels, height, width], and not of [height, width, channels]."""
    if len(shape) != 3 or _are_last(shape):
        return False
    first, height, width = shape
    return (first <= _FEW) > (width <= _FEW) or (height == width != first)


def _are_last(shape: tuple[int, ...]) -> bool:
    """Return whether an example [a, b, c] is [height, width, channels] beyond doubt."""
    height, width, channels = shape
    for likely in (lambda size: size <= _FEW, lambda size: size in _PICTURE):
        if likely(channels) != likely(height):
            return likely(channels)
    return height == width and (channels != height or channels == 1)


def _require_features(shape: tuple[int, ...], where: str) -> None:
    if len(shape) == 2 and shape[0] == shape[1] > 2 * _FEW:
        raise InputError(
            f"{where} has examples of shape {shape}, which may be pictures without channels, or rows of columns, each"
            " scaled for itself; expected a statement: set axes to 'hw' or to 'tc', or per_feature to false"
        )
    if len(shape) > 3 and shape[0] <= _FEW < shape[-1]:
        raise InputError(
            f"{where} has examples of shape {shape}, whose channels seem to be first; expected them last, as each is"
            " scaled for itself: set axes, such as 'cdhw' or 'dhwc', or per_feature to false"
        )
