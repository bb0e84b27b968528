"""From the bytes of a PNG, JPEG, WebP or BMP file to a uint8 array; what is converted on the way loses nothing.

Grey (L) and RGB images are taken as they are, a palette (P) becomes RGB, and black and white (1) become grey, 0 and
255. Refused are those that 8 bits a channel cannot hold, or not in one way: 16 bits, an alpha channel or a transparent
colour, CMYK and other spaces, and animations. An orientation in the metadata (EXIF, or XMP) is followed, as viewers do:
height and width are those of the image as it is seen. Of several pictures in a JPEG, as phones make them, the first is
taken. Colour profiles and gamma are not applied.
"""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile

from sde_jax.data.image_files import LARGEST_BYTES, Files
from sde_jax.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_MODES = {"L": "L", "RGB": "RGB", "P": "RGB", "1": "L"}
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image with an orientation of EXIF upright. From 5 on, height and width change places."""
_HEAD_BYTES = 16 * 2**10
_MOST_PIXELS = LARGEST_BYTES // 3


def read_shape(files: Files, name: str) -> tuple[int, int, int]:
    """(height, width, channels) from an image's header; channels is 1 (grey) or 3 (RGB).

    An image of up to 16 KiB is read whole, which in a zip verifies its CRC. Raises InputError for what is refused. An
    orientation that a larger PNG states behind its pixels is found by `decoded` alone.
    """
    where = f"{files.location}: {name!r}"
    with _failures_named(where):
        head = files.read(name, _HEAD_BYTES)
        try:
            image = _opened(head)
        except Exception:
            # Long metadata come before the header, or the format (WebP) has none that can be read alone.
            if len(head) < _HEAD_BYTES:
                raise
            image = _opened(files.read(name))
        return _shape(image, where)


def read_image(files: Files, name: str) -> np.ndarray:
    """The image [height, width, channels] uint8. Raises InputError if it is damaged, or refused."""
    where = f"{files.location}: {name!r}"
    with _failures_named(where):
        return decoded(files.read(name), where)


def read_bytes(files: Files, name: str) -> bytes:
    """The content of a file. Raises InputError if it cannot be read."""
    with _failures_named(f"{files.location}: {name!r}"):
        return files.read(name)


def decoded(content: bytes, where: str) -> np.ndarray:
    """The image [height, width, channels] uint8 in a file's bytes. Raises InputError, which begins with `where`."""
    with _failures_named(where):
        image = _opened(content)
        _check(image, where)
        image.load()  # what a PNG says behind its pixels too
        turn = _UPRIGHT.get(_orientation(image))
        # A conversion to the same mode would copy the image.
        shown = image if image.mode == _MODES[image.mode] else image.convert(_MODES[image.mode])
        pixels = np.asarray(shown if turn is None else shown.transpose(turn))
        return pixels.reshape(*pixels.shape[:2], -1)


def is_turned(content: bytes, where: str) -> bool:
    """Whether the metadata of the image in a file's bytes say that it is to be turned or mirrored, which is done."""
    with _failures_named(where):
        image = _opened(content)
        if b"eXIf" in content:
            image.load()
        return _orientation(image) in _UPRIGHT


def check_shape(where: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise InputError unless an image has the shape (height, width, channels) of the others."""
    if found != expected:
        raise InputError(
            f"{where} has height, width and channels {found}; expected {expected} as in the first image: set the data's"
            " size, to which all are resized, or convert or remove it"
        )


def _opened(content: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(content), formats=_FORMATS)


def _orientation(image: Image.Image) -> int:
    try:
        # Not the PNG reader's own, which reads all of the file, of which there may be the first bytes alone.
        found = Image.Image.getexif(image).get(_ORIENTATION, 1)
        return found if found in _UPRIGHT else 1
    except Exception:  # damaged metadata, of which Pillow fails with almost any type, turn nothing
        return 1


def _shape(image: ImageFile.ImageFile, where: str) -> tuple[int, int, int]:
    _check(image, where)
    channels = {"L": 1, "RGB": 3}[_MODES[image.mode]]
    return (image.width, image.height, channels) if _orientation(image) > 4 else (image.height, image.width, channels)


def _check(image: ImageFile.ImageFile, where: str) -> None:
    if getattr(image, "n_frames", 1) != 1 and image.format != "MPO":
        raise InputError(f"{where} is animated; expected a single image: extract one frame or remove it")
    # The decoder's raw mode tells 16-bit RGB, which Pillow would cut down to 8 bits without a word.
    arguments = image.tile[0][3] if image.tile else ""
    raw_mode = str(arguments[0] if isinstance(arguments, tuple) else arguments)
    mode = raw_mode if ";16" in raw_mode else image.mode
    if mode not in _MODES or "transparency" in image.info:
        seen = f"the mode {mode}" if mode not in _MODES else f"the mode {mode} and a transparent colour"
        raise InputError(
            f"{where} has {seen}; expected 8 bits a channel, grey, RGB or a palette, without transparency: convert or"
            " remove it"
        )
    # Pillow raises only at twice its limit, which is global, and warns before; this is the same limit.
    if image.width * image.height > _MOST_PIXELS:
        raise InputError(
            f"{where} has {image.width} x {image.height} pixels; expected at most {_MOST_PIXELS}: shrink or remove it"
        )


@contextlib.contextmanager
def _failures_named(where: str) -> Iterator[None]:
    # Pillow and zipfile fail on damaged input with almost any type of exception.
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # Pillow names the buffer that it was given by its address.
        reason = " ".join(str(error).split(" <_io")[0].split()) or type(error).__name__
        raise InputError(
            f"{where} cannot be read as a PNG, JPEG, WebP or BMP image ({reason}); replace or remove it"
        ) from error
