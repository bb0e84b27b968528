"""All that is wrong with a folder or zip of images."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sde_jax.data import Images, Splits
from sde_jax.data.image_decoding import SUFFIXES, read_image
from sde_jax.data.image_files import Files, open_files
from sde_jax.data.image_labels import LABELS, folder_labels, read_labels
from sde_jax.data.images import ImageFiles
from sde_jax.errors import InputError

Shape = tuple[int, int, int]
_SHOWN = 5


def images(dataset: Images) -> tuple[Splits | None, list[str]]:
    """Return the images of the most frequent shape, None where there are none, and every problem, a line each.

    Each image is decoded. Raises `InputError` where the folder or the zip cannot be read as one.
    """
    files = open_files(dataset.path)
    names = [name for name in files.names if name.lower().endswith(SUFFIXES)]
    shapes, unreadable = _shapes(files, names, dataset.size)
    labels, classes, unlabelled = _labels(files, names, dataset.labels_from_folders)
    problems = [*unreadable, *unlabelled]
    if not shapes:
        return None, problems
    counts = Counter(shapes.values()).most_common()
    if len(counts) > 1:
        problems.append(_mixed(dataset.path, counts))
    shape = counts[0][0]
    alike = [row for row, name in enumerate(names) if shapes.get(name) == shape]
    train, none = (
        ImageFiles(files, [names[row] for row in rows], labels[rows], shape, dataset.size) for rows in (alike, [])
    )
    return Splits(train, none, shape, 256, classes=classes, left_out=tuple(unreadable)), problems


def passed_over(dataset: Images) -> list[str]:
    """Return the files that are neither images nor labels, in one line, if there are any."""
    files = open_files(dataset.path)
    others = [name for name in files.names if name != LABELS and not name.lower().endswith(SUFFIXES)]
    what = "1 file is no image and is" if len(others) == 1 else f"{len(others)} files are no images and are"
    return [f"{what} passed over, as {others[0]!r}"] if others else []


def _shapes(files: Files, names: Sequence[str], size: int | None) -> tuple[dict[str, Shape], list[str]]:
    shapes, problems = {}, []
    for name in names:
        try:
            height, width, channels = read_image(files, name).shape
            shapes[name] = size or height, size or width, channels
        except InputError as problem:
            problems.append(str(problem))
    return shapes, problems


def _labels(files: Files, names: Sequence[str], folders: bool) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    try:
        return *(folder_labels if folders else read_labels)(files, names), []
    except InputError as problem:
        return np.full(len(names), -1, np.int32), (), [str(problem)]


def _mixed(path: str, counts: Sequence[tuple[Shape, int]]) -> str:
    found = ", ".join(f"{count} of {'x'.join(map(str, shape))}" for shape, count in counts[:_SHOWN])
    if len({shape[2] for shape, _ in counts}) > 1:
        advice = "convert all to grey or all to RGB"
    else:
        advice = f"give --config.data.size={counts[0][0][0]}, to which all are cropped and resized"
    more = f", and {len(counts) - _SHOWN} other shapes" if counts[_SHOWN:] else ""
    return f"{path} holds images of {len(counts)} shapes ({found}{more}); expected one: {advice}"
