"""A folder or a zip of images."""

from dataclasses import dataclass

import numpy as np

from sde_jax.data.image_decoding import SUFFIXES, check_shape, is_turned, read_bytes, read_image
from sde_jax.data.image_files import Files, open_files
from sde_jax.data.image_labels import LABELS, folder_labels, read_labels
from sde_jax.data.image_resizing import squared
from sde_jax.data.image_survey import survey
from sde_jax.data.sources import Splits, example
from sde_jax.errors import InputError, whole

_OTHER_IMAGES = (".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Images:
    """All PNG, JPEG, WebP and BMP images in the folder or the zip at `path`, at any depth; 256 grey levels.

    All are grey or all RGB, as image_decoding.py says, and of one size, that of the first in name order; with `size`,
    of any: the largest square in the middle is resized to `size` by `size` (image_resizing.py), up or down.
    Hidden files and files that are no images are passed over. A `dataset.json` at the top gives labels, in EDM's layout
    (image_labels.py), or, with `labels_from_folders`, the folders at the top do, in natural order: 2 before 10. Names
    of images are sorted as text. Of each class, the last `held_out_per_class` images in this order are `held_out` and
    the rest are `train`; images without labels count as one class. Both splits keep the order. Up to `skip` images that
    cannot be used are left out.
    """

    path: str
    held_out_per_class: int = 500
    size: int | None = None
    labels_from_folders: bool = False
    skip: int = 0

    def __post_init__(self):
        if self.held_out_per_class < 0:
            raise InputError(f"held_out_per_class is {self.held_out_per_class}; expected an integer of at least 0")
        if self.size is not None and not whole(self.size, 1):
            raise InputError(f"size is {self.size}; expected a number of pixels, or None for that of the images")
        if not whole(self.skip, 0):
            raise InputError(f"skip is {self.skip}; expected the number of images that may be left out, 0 or more")

    def open(self) -> Splits:
        """`train` and `held_out`, whose images are read from the files when they are asked for.

        Opening reads every name, header and label, and the whole of images of up to 16 KiB; with `skip`, all images.
        Raises InputError, naming the file, for: a path that is missing or no zip; an unsafe or repeated name; more than
        `skip` images that are damaged, animated, of a kind that is refused, or of another shape; unusable labels; a
        class of no more than `held_out_per_class` images. Damage that only reading shows raises InputError then.
        """
        files = open_files(self.path)
        names = _image_names(files)
        labels, classes = folder_labels(files, names) if self.labels_from_folders else read_labels(files, names)
        shape, wrong = survey(files, names, self.size, self.skip)
        kept = [row for row, name in enumerate(names) if name not in wrong]
        names, labels = [names[row] for row in kept], labels[kept]
        held_out = _held_out(files, labels, self.held_out_per_class)
        train, held_out = (
            ImageFiles(files, [names[row] for row in rows], labels[rows], shape, self.size)
            for rows in (np.flatnonzero(~held_out), np.flatnonzero(held_out))
        )
        return Splits(train, held_out, shape, levels=256, classes=classes, left_out=tuple(wrong.values()))


class ImageFiles:
    """A source that decodes an image file at each access, and resizes it where there is a `size`."""

    def __init__(
        self, files: Files, names: list[str], labels: np.ndarray, shape: tuple[int, int, int], size: int | None = None
    ):
        self._files, self._names, self._labels, self._shape, self._size = files, names, labels, shape, size

    @property
    def labels(self) -> np.ndarray:
        """The labels of all images, [n], -1 for none."""
        return self._labels

    @property
    def names(self) -> list[str]:
        """The names of the files, in order."""
        return self._names

    def __len__(self) -> int:
        """The number of images."""
        return len(self._names)

    def stored(self, index: int) -> bytes:
        """The bytes of the file of the example at `index`. Raises InputError, naming it, if it cannot be read."""
        return read_bytes(self._files, self._names[index])

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`. Raises InputError, naming the file, if it cannot be read."""
        index = range(len(self))[index]
        image = read_image(self._files, self._names[index])
        image = squared(image, self._size) if self._size else image
        check_shape(f"{self._files.location}: {self._names[index]!r}", image.shape, self._shape)
        return example(image, self._labels[index], index)

    def turned(self, index: int) -> bool:
        """Whether an image's metadata say that it is to be turned or mirrored, which is done."""
        name = self._names[index]
        return is_turned(self._files.read(name), f"{self._files.location}: {name!r}")


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
