"""Which images of a folder or a zip can be used, and their common shape."""

import logging
from collections.abc import Sequence

from sde_jax.data.image_decoding import check_shape, read_image, read_shape
from sde_jax.data.image_files import Files
from sde_jax.errors import InputError

Shape = tuple[int, int, int]
_SHOWN = 3


def survey(files: Files, names: Sequence[str], size: int | None, skip: int) -> tuple[Shape, dict[str, str]]:
    """Return the shape that the images are used in, and what is wrong with each of those to leave out, by name.

    The shape is that of the first usable one, or `size` by `size` with its channels. With `skip` = 0 headers are read,
    and the first unusable image raises its InputError; otherwise images are decoded, which finds all damage, and more
    than `skip` unusable ones raise an InputError that names the first. Those left out are logged as a warning.
    """
    shape: Shape | None = None
    wrong: dict[str, str] = {}
    for name in names:
        try:
            found = read_image(files, name).shape if skip else read_shape(files, name)
            found = (size or found[0], size or found[1], found[2])
            shape = shape or found
            check_shape(f"{files.location}: {name!r}", found, shape)
        except InputError as error:
            if not skip:
                raise
            wrong[name] = str(error)
            if len(wrong) > skip:
                raise InputError(_too_many(files, wrong, skip)) from error
    if shape is None:
        raise InputError(f"{files.location}: none of {len(names)} images can be used; the first: {wrong[names[0]]}")
    if wrong:
        logging.getLogger(__name__).warning("%s: left out %s", files.location, _told(wrong))
    return shape, wrong


def _too_many(files: Files, wrong: dict[str, str], skip: int) -> str:
    return f"{files.location}: more than skip = {skip} images cannot be used; expected at most that: {_told(wrong)}"


def _told(wrong: dict[str, str]) -> str:
    shown = list(wrong.values())[:_SHOWN]
    more = [f"and {len(wrong) - len(shown)} more"] if len(wrong) > len(shown) else []
    return f"{len(wrong)} images (" + " | ".join([*shown, *more]) + ")"
