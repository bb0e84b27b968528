"""From the bytes of a PNG, JPEG, WebP or BMP file to a uint8 array, with nothing converted on the way."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile

from sde_jax.data.image_files import LARGEST_BYTES, Files
from sde_jax.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_CHANNELS = {"L": 1, "RGB": 3}
_HEAD_BYTES = 16 * 2**10
_MOST_PIXELS = LARGEST_BYTES // 3


def read_shape(files: Files, name: str) -> tuple[int, int, int]:
    """(height, width, channels) from an image's header; channels is 1 (grey) or 3 (RGB).

    An image of up to 16 KiB is read whole, which in a zip verifies its CRC. Raises InputError for anything
    but a single 8-bit grey or RGB image.
    """
    with _failures_named(files, name):
        head = files.read(name, _HEAD_BYTES)
        try:
            image = _opened(head)
        except Exception:
            # Long metadata come before the header, or the format (WebP) has none that can be read alone.
            if len(head) < _HEAD_BYTES:
                raise
            image = _opened(files.read(name))
        return _shape(image, f"{files.location}: {name!r}")


def read_image(files: Files, name: str, shape: tuple[int, int, int]) -> np.ndarray:
    """The image [height, width, channels] uint8. Raises InputError if it is damaged or not of this shape."""
    with _failures_named(files, name):
        image = _opened(files.read(name))
        check_shape(files, name, _shape(image, f"{files.location}: {name!r}"), shape)
        return np.asarray(image).reshape(shape)


def check_shape(files: Files, name: str, found: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    """Raise InputError unless the image has the shape (height, width, channels) of the others."""
    if found != expected:
        raise InputError(
            f"{files.location}: {name!r} has height, width and channels {found}; expected {expected} as in"
            " the first image: resize, convert or remove it"
        )


def _opened(content: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(content), formats=_FORMATS)


def _shape(image: ImageFile.ImageFile, where: str) -> tuple[int, int, int]:
    if getattr(image, "n_frames", 1) != 1:
        raise InputError(f"{where} is animated; expected a single image: extract one frame or remove it")
    # The decoder's raw mode tells 16-bit RGB, which Pillow would cut down to 8 bits without a word.
    arguments = image.tile[0][3] if image.tile else ""
    raw_mode = str(arguments[0] if isinstance(arguments, tuple) else arguments)
    if image.mode not in _CHANNELS or ";16" in raw_mode:
        mode = image.mode if image.mode not in _CHANNELS else raw_mode
        raise InputError(f"{where} has the mode {mode}; expected 8-bit grey (L) or RGB: convert or remove it")
    # Pillow raises only at twice its limit, which is global, and warns before; this is the same limit.
    if image.width * image.height > _MOST_PIXELS:
        raise InputError(
            f"{where} has {image.width} x {image.height} pixels; expected at most {_MOST_PIXELS}: shrink or remove it"
        )
    return image.height, image.width, _CHANNELS[image.mode]


@contextlib.contextmanager
def _failures_named(files: Files, name: str) -> Iterator[None]:
    # Pillow and zipfile fail on damaged input with almost any type of exception.
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{files.location}: {name!r} cannot be read as a PNG, JPEG, WebP or BMP image ({reason});"
            " replace or remove it"
        ) from error
