"""A folder or a zip of images."""

from dataclasses import dataclass

import numpy as np

from sde_jax.data.image_decoding import SUFFIXES, check_shape, read_image, read_shape
from sde_jax.data.image_files import Files, open_files
from sde_jax.data.image_labels import LABELS, read_labels
from sde_jax.data.sources import Splits, example
from sde_jax.errors import InputError

_OTHER_IMAGES = (".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Images:
    """All PNG, JPEG, WebP and BMP images in the folder or the zip at `path`, at any depth; 256 grey levels.

    They are of one size, and all grey or all RGB, as the first in name order. Hidden files and files that are
    no images are passed over. A `dataset.json` at the top gives labels, in EDM's layout (image_labels.py);
    the names of folders do not. Names are sorted as text. Of each class, the last `held_out_per_class` images
    in this order are `held_out` and the rest are `train`; images without labels count as one class. Both
    splits keep the order.
    """

    path: str
    held_out_per_class: int = 500

    def __post_init__(self):
        if self.held_out_per_class < 0:
            raise InputError(f"held_out_per_class is {self.held_out_per_class}; expected an integer of at least 0")

    def open(self) -> Splits:
        """`train` and `held_out`, whose images are read from the files when they are asked for.

        Opening reads every name, header and label, and the whole of images of up to 16 KiB. Raises
        InputError, naming the file, for: a path that is missing or no zip; an unsafe or repeated name; an
        image that is damaged, animated, neither 8-bit grey nor RGB, or of another shape; unusable labels; a
        class of no more than `held_out_per_class` images. Damage that only reading shows raises InputError
        then.
        """
        files = open_files(self.path)
        names = _image_names(files)
        labels = read_labels(files, names)
        held_out = _held_out(files, labels, self.held_out_per_class)
        shape = read_shape(files, names[0])
        for name in names[1:]:
            check_shape(files, name, read_shape(files, name), shape)
        train, held_out = (
            ImageFiles(files, [names[row] for row in rows], labels[rows], shape)
            for rows in (np.flatnonzero(~held_out), np.flatnonzero(held_out))
        )
        return Splits(train, held_out, shape, levels=256)


class ImageFiles:
    """A source that decodes an image file at each access."""

    def __init__(self, files: Files, names: list[str], labels: np.ndarray, shape: tuple[int, int, int]):
        self._files, self._names, self._labels, self._shape = files, names, labels, shape

    def __len__(self) -> int:
        """The number of images."""
        return len(self._names)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`. Raises InputError, naming the file, if it cannot be read."""
        index = range(len(self))[index]
        return example(read_image(self._files, self._names[index], self._shape), self._labels[index], index)


def _image_names(files: Files) -> list[str]:
    for name in files.names:
        if name.lower().endswith(_OTHER_IMAGES):
            raise InputError(f"{files.location}: {name!r} is not PNG, JPEG, WebP or BMP; convert or remove it")
        if name.endswith("/" + LABELS):
            raise InputError(f"{files.location}: {name!r} is not at the top; make its folder the top, or remove it")
    names = [name for name in files.names if name.lower().endswith(SUFFIXES)]
    if not names:
        raise InputError(
            f"{files.location} holds no images among {len(files.names)} files; expected some of"
            f" {', '.join(SUFFIXES)}: check the path"
        )
    return names


def _held_out(files: Files, labels: np.ndarray, count: int) -> np.ndarray:
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) <= count:
            found = f"class {label} has {len(members)} images" if label >= 0 else f"{len(members)} images in all"
            raise InputError(
                f"{files.location}: {found}; expected more than held_out_per_class = {count}: lower it or add images"
            )
        held_out[members[len(members) - count :]] = True
    return held_out
