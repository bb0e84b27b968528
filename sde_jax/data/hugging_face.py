"""Images from Hugging Face's hub, or from a folder in its layout."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_jax.data.image_decoding import check_shape, decoded, is_turned
from sde_jax.data.image_resizing import squared
from sde_jax.data.rows import check_held_out, split
from sde_jax.data.sources import Splits, example
from sde_jax.errors import InputError, whole


@dataclass(frozen=True)
class HuggingFace:
    """The images in column `image` of a data set that Hugging Face's `datasets` loads, 256 levels.

    name: on the hub, such as uoft-cs/cifar10, or a folder of Parquet files; config, revision: which of several. Data
    are downloaded once, into that library's cache; nothing of what is downloaded is executed. split: that to train on;
    held_out_split: that to hold out, or, with `held_out`, so many of `split`, chosen as `rows.split` does. label: the
    column of classes, whole numbers; by default there are none. size: as for `Images`; without it all images must be
    of one size. What images may be is in image_decoding.py.
    """

    name: str
    config: str = ""
    revision: str = ""
    split: str = "train"
    held_out_split: str = ""
    held_out: int = 0
    image: str = "image"
    label: str = ""
    size: int | None = None

    def __post_init__(self):
        check_held_out(self.held_out)
        if self.held_out and self.held_out_split:
            raise InputError(
                f"held_out = {self.held_out} and held_out_split = {self.held_out_split!r}; expected one of them"
            )
        if self.size is not None and not whole(self.size, 1):
            raise InputError(f"size is {self.size}; expected a number of pixels, or None for that of the images")

    def open(self) -> Splits:
        """`train` and `held_out`, whose images are decoded when they are asked for.

        Opening loads the data, downloading them where they are not in the cache, and decodes the first image. Raises
        InputError where `datasets` is not installed, or cannot load them; for columns that are missing or of another
        kind; and for an image that is damaged, refused or of another shape, when it is read.
        """
        data, classes = self._loaded(self.split)
        other = self._loaded(self.held_out_split)[0] if self.held_out_split else data
        train, held_out = split(len(data), self.held_out, f"{self.name} ({self.split})")
        held_out = np.arange(len(other)) if self.held_out_split else held_out
        shape = self._source(data, train, None, self.split)[0]["data"].shape
        sources = (
            self._source(data, train, shape, self.split),
            self._source(other, held_out, shape, self.held_out_split or self.split),
        )
        return Splits(*sources, shape=shape, levels=256, classes=classes)

    def _source(self, data: Any, rows: np.ndarray, shape: tuple[int, ...] | None, name: str) -> "HuggingFaceImages":
        return HuggingFaceImages(data, rows, shape, self.image, self.label, self.size, f"{self.name} ({name})")

    def _loaded(self, name: str) -> tuple[Any, tuple[str, ...]]:
        """Return a split whose images are not decoded, and the names of the classes."""
        datasets = _library()
        try:
            data = datasets.load_dataset(self.name, self.config or None, split=name, revision=self.revision or None)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{self.name} ({name}) cannot be loaded by Hugging Face's datasets ({reason:.300}); expected a data"
                " set on the hub or a folder: check name, config and split, and that there is a network or the data are"
                " in its cache"
            ) from error
        for column in filter(None, (self.image, self.label)):
            if column not in data.features:
                raise InputError(
                    f"{self.name} has no column {column!r}; expected one of {', '.join(map(repr, data.features))}"
                )
        if not isinstance(data.features[self.image], datasets.Image):
            raise InputError(f"{self.name}: column {self.image!r} is {data.features[self.image]}; expected images")
        names = getattr(data.features[self.label], "names", None) if self.label else None
        return data.cast_column(self.image, datasets.Image(decode=False)), tuple(names or ())


class HuggingFaceImages:
    """A source of the images, and labels, in some rows of a data set of `datasets`."""

    def __init__(
        self,
        data: Any,
        rows: np.ndarray,
        shape: tuple[int, ...] | None,
        image: str,
        label: str,
        size: int | None,
        where: str,
    ):
        self._data, self._rows, self._shape = data, rows, shape
        self._image, self._label, self._size, self._where = image, label, size, where

    def __len__(self) -> int:
        """The number of images."""
        return len(self._rows)

    def stored(self, index: int) -> bytes:
        """The label and the bytes of the image at `index`. Raises InputError, naming the row, if there is none."""
        row = self._data[int(self._rows[index])]
        label = row[self._label] if self._label else -1
        return f"{label} ".encode() + _content(row[self._image], f"{self._where}: row {self._rows[index]}")

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`. Raises InputError, naming the row, if it cannot be used."""
        index = range(len(self))[index]
        where = f"{self._where}: row {self._rows[index]}"
        row = self._data[int(self._rows[index])]
        image = decoded(_content(row[self._image], where), where)
        image = squared(image, self._size) if self._size else image
        if self._shape is not None:
            check_shape(where, image.shape, self._shape)
        label = row[self._label] if self._label else -1
        if not whole(label, -1, 2**31 - 1):
            raise InputError(f"{where} has the label {label!r}; expected a whole number from 0 on, or -1 for none")
        return example(image, label, index)

    def turned(self, index: int) -> bool:
        """Whether an image's metadata say that it is to be turned or mirrored, which is done."""
        where = f"{self._where}: row {self._rows[index]}"
        return is_turned(_content(self._data[int(self._rows[index])][self._image], where), where)


def _content(image: Any, where: str) -> bytes:
    """Return the bytes of an image that `datasets` did not decode: they are in the row, or in a file of its own."""
    if image is None or not (image["bytes"] or image["path"]):
        raise InputError(f"{where} has no image; expected one in every row")
    if image["bytes"]:
        return image["bytes"]
    with open(image["path"], "rb") as file:
        return file.read()


def _library() -> Any:
    try:
        # An extra, and seconds to import.
        import datasets  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise InputError(
            "Hugging Face's datasets is not installed; expected it for HuggingFace: pip install 'sde-jax[datasets]'"
        ) from error
    return datasets
