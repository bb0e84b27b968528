"""Data sets that TensorFlow Datasets prepared, read from their files without TensorFlow and without a network."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.data.image_decoding import decoded
from sde_jax.data.record_files import ArrayRecordFiles, Concatenated, Records, TFRecordFile, features
from sde_jax.data.sources import Splits, example
from sde_jax.errors import InputError


@dataclass(frozen=True)
class TFDSFolder:
    """A data set of images under `root`, by its name in tfds (name or name/config), and what preparing it needs."""

    root: Path
    name: str
    needs: str = "tensorflow"

    def open(self, held_out: str, shape: tuple[int, ...], change: Callable[[np.ndarray], np.ndarray]) -> Splits:
        """The split `train` of tfds, and that named `held_out`, with none in it if there is no such.

        Images are RGB, changed by `change` into `shape`. Raises InputError where nothing is prepared, with the command
        to do it, and where files are missing or damaged.
        """
        builder = self._builder()
        labelled = "label" in builder.info.features
        splits = [self._records(builder, split) for split in ("train", held_out)]
        names = builder.info.features["label"].names if labelled else []
        classes = () if names == [str(number) for number in range(len(names))] else tuple(names)
        train, other = (
            TFDSImages(records, labelled, shape, change, f"{builder.data_dir} ({split})")
            for records, split in zip(splits, ("train", held_out), strict=True)
        )
        return Splits(train, other, shape, levels=256, classes=classes)

    def _builder(self) -> Any:
        folder = self._folder()
        # tfds takes a second to import.
        import tensorflow_datasets as tfds

        try:
            return tfds.builder_from_directory(folder)
        except Exception as error:
            raise self._unusable(folder, error) from error

    def _folder(self) -> Path:
        found = [path.parent for path in (self.root / self.name).glob("*/dataset_info.json")]
        versions = {folder: tuple(map(int, folder.name.split("."))) for folder in found if _is_version(folder.name)}
        if not versions:
            prepare = f"tfds.builder('{self.name}', data_dir='{self.root}').download_and_prepare"
            raise InputError(
                f"{self.name} is not prepared in {self.root}; expected {self.root / self.name}/VERSION with its"
                " dataset_info.json: set the data's path, or TFDS_DATA_DIR, to where it is, or, with a network, prepare"
                f" it once by: pip install {self.needs} && python -c"
                f" \"import tensorflow_datasets as tfds; {prepare}(file_format='array_record')\""
            )
        return max(versions, key=versions.__getitem__)

    def _records(self, builder: Any, split: str) -> Records:
        if split not in builder.info.splits:
            return Concatenated([])
        try:
            paths = [Path(path) for path in builder.info.splits[split].filepaths]
            count, suffix = builder.info.splits[split].num_examples, builder.info.file_format.file_suffix
        except Exception as error:
            raise self._unusable(builder.data_dir, error) from error
        missing = [path.name for path in paths if not path.is_file()]
        if missing or suffix not in ("array_record", "tfrecord"):
            raise self._unusable(builder.data_dir, f"{missing[0]} is missing" if missing else f"files are {suffix}")
        records = ArrayRecordFiles(paths) if suffix == "array_record" else Concatenated([*map(TFRecordFile, paths)])
        if len(records) != count:
            raise self._unusable(builder.data_dir, f"{split} has {len(records)} examples and should have {count}")
        return records

    def _unusable(self, folder: str | Path, found: Exception | str) -> InputError:
        reason = " ".join(str(found).split())
        return InputError(
            f"{folder} does not hold {self.name} ({reason}); expected array_record or tfrecord files of tfds: delete it"
            " and prepare it again"
        )


class TFDSImages:
    """A source of the images of some records of tfds: PNG or JPEG in `image`, and `label` where `labelled`."""

    def __init__(
        self,
        records: Records,
        labelled: bool,
        shape: tuple[int, ...],
        change: Callable[[np.ndarray], np.ndarray],
        where: str,
    ):
        self._records, self._labelled, self._shape, self._change, self._where = records, labelled, shape, change, where

    def __len__(self) -> int:
        """The number of images."""
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The example at `index`. Raises InputError, naming the split and the record, if it cannot be read."""
        index = range(len(self))[index]
        where = f"{self._where}: record {index}"
        content, *label = features(self._records[index], ("image", "label") if self._labelled else ("image",), where)
        image = decoded(content[0], where)
        # JPEGs that are grey are RGB to tfds.
        image = self._change(np.broadcast_to(image, (*image.shape[:2], 3)))
        if image.shape != self._shape:
            raise InputError(
                f"{where} has height, width and channels {image.shape}; expected {self._shape}: prepare again"
            )
        return example(image, label[0][0] if label else -1, index)


def tfds_root(path: str) -> Path:
    """The folder at `path`, or by default that of tfds: $TFDS_DATA_DIR, or else ~/tensorflow_datasets."""
    return Path(path or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _is_version(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.\d+", name) is not None
