"""What a source of examples is: a length, and an example at every index.

An example is a mapping of exactly three arrays:

    image   [height, width, channels] uint8, grey levels 0 .. levels - 1
    label   [] int32, the class, -1 where there is none
    index   [] int64, the example's index within its source
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError


class Source(Protocol):
    """Examples with random access. Reading must be safe from several threads at once."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray]:
        """The example at `index`: `image`, `label` and `index`; IndexError beyond the end."""
        ...


@dataclass(frozen=True)
class Splits:
    """A data set that is open for reading.

    `train` and `held_out` share no example; every image has the shape `shape` = (height, width, channels) and
    grey levels 0 .. `levels` - 1.
    """

    train: Source
    held_out: Source
    shape: tuple[int, int, int]
    levels: int


class Dataset(Protocol):
    """A data set as a value of a run's config: a frozen dataclass of plain, JSON-able fields."""

    def open(self) -> Splits:
        """Check the data and open them for reading. Raises InputError where they cannot be used."""
        ...


class Arrays:
    """A source held in memory.

    images: [n, height, width, channels] uint8; labels: [n] integers, or None for -1 throughout. Both are
    copied. Raises InputError if the shapes or the types are others.
    """

    def __init__(self, images: ArrayLike, labels: ArrayLike | None = None):
        images = np.array(images)
        if images.ndim != 4 or images.dtype != np.uint8:
            raise InputError(
                f"images are {images.dtype} of shape {images.shape}; expected uint8 of shape"
                " [n, height, width, channels]; convert them to 8 bits a channel"
            )
        labels = np.full(len(images), -1, np.int32) if labels is None else np.array(labels)
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(
                f"labels are {labels.dtype} of shape {labels.shape}; expected integers of shape"
                f" {images.shape[:1]}, one for each image"
            )
        self._images, self._labels = images, labels.astype(np.int32)
        # An example is a view; a consumer that wrote to one would change the data for every epoch to come.
        self._images.setflags(write=False)

    def __len__(self) -> int:
        """The number of examples."""
        return len(self._images)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`; its image is a read-only view."""
        index = range(len(self))[index]
        return example(self._images[index], self._labels[index], index)


def example(image: np.ndarray, label: ArrayLike, index: int) -> dict[str, np.ndarray]:
    """The mapping that every source returns: `image` as given, `label` [] int32, `index` [] int64."""
    return {"image": image, "label": np.asarray(label, np.int32), "index": np.asarray(index, np.int64)}
