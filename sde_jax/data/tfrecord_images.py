"""Images in a TFRecord file: FFHQ and CelebA-HQ as StyleGAN and score_sde read them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sde_jax.data.record_files import Records, TFRecordFile, features
from sde_jax.data.rows import check_held_out, split
from sde_jax.data.sources import Splits, example
from sde_jax.errors import InputError


@dataclass(frozen=True)
class TFRecordImages:
    """The images in one TFRecord file, 256 levels: `data`, the bytes of a [channels, height, width], and `shape`.

    So are FFHQ and CelebA-HQ, a file for each resolution. There are no labels. `held_out` of them are held out, chosen
    as `rows.split` does; score_sde holds none out and evaluates on those that it trains on.
    """

    path: str
    held_out: int = 1000

    def __post_init__(self):
        check_held_out(self.held_out)

    def open(self) -> Splits:
        """`train` and `held_out`, whose images are read from the file when they are asked for.

        Opening reads the length of every record, and the first image. Raises InputError, naming the file and the
        record,
        for one that is damaged or no such image; damage behind a length raises it when the record is read.
        """
        path = Path(self.path).expanduser()
        records = TFRecordFile(path)
        train, held_out = split(len(records), self.held_out, str(path))
        shape = _image(records[0], f"{path}: record 0").shape
        splits = (RawImages(records, rows, shape, str(path)) for rows in (train, held_out))
        return Splits(*splits, shape=shape, levels=256)


class RawImages:
    """A source of the images of some records."""

    def __init__(self, records: Records, rows: np.ndarray, shape: tuple[int, ...], where: str):
        self._records, self._rows, self._shape, self._where = records, rows, shape, where

    def __len__(self) -> int:
        """The number of images."""
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`. Raises InputError, naming file and record, if it cannot be read."""
        index = range(len(self))[index]
        row = int(self._rows[index])
        image = _image(self._records[row], f"{self._where}: record {row}")
        if image.shape != self._shape:
            raise InputError(
                f"{self._where}: record {row} has height, width and channels {image.shape}; expected {self._shape} as"
                " in the first: use the file of one resolution"
            )
        return example(image, -1, index)


def _image(record: bytes, where: str) -> np.ndarray:
    data, shape = features(record, ("data", "shape"), where)
    content, shape = data[0] if len(data) == 1 and isinstance(data[0], bytes) else b"", tuple(shape)
    if len(shape) != 3 or shape[0] not in (1, 3) or len(content) != math.prod(shape):
        raise InputError(
            f"{where} has the shape {shape} and {len(content)} bytes of data; expected [1 or 3, height, width] and a"
            " byte for each number: check that the file has this layout"
        )
    return np.moveaxis(np.frombuffer(content, np.uint8).reshape(shape), 0, -1)
