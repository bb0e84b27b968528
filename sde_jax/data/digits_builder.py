"""The digits as a TensorFlow Datasets data set, prepared offline and without TensorFlow."""

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from sde_jax.data.sources import Arrays, Splits
from sde_jax.errors import InputError

_SHAPE = (8, 8, 1)
_LEVELS = 17
_SIZES = {"train": 1500, "held_out": 297}


class _LocalInfo(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        # tfds looks for statistics in its bucket; these data are in none, and it would leave a folder behind.
        pass


class HandwrittenDigits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """`train` (1,500) and `held_out` (297): image [8, 8, 1] uint8 and label [] int32, in a fixed order."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> _LocalInfo:
        # Tensor, since features.Image and features.ClassLabel decode with TensorFlow.
        features = {
            "image": tfds.features.Tensor(shape=_SHAPE, dtype=np.uint8),
            "label": tfds.features.Tensor(shape=(), dtype=np.int32),
        }
        return _LocalInfo(
            builder=self,
            description="The handwritten digits of scikit-learn, 8x8, grey levels 0 to 16.",
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(*arrays) for split, arrays in _made().items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray):
        for key, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield key, {"image": image, "label": label}


def read_digits(root: Path) -> Splits:
    """The digits under `root`, prepared there first if they are not yet; raises as `Digits.open` does."""
    try:
        return prepared_digits(root)
    except OSError as error:
        raise InputError(
            f"cannot prepare the digits in {root}: {error}; give a path to a folder that can be written"
        ) from error


def prepared_digits(root: Path) -> Splits:
    """As `read_digits`; raises `OSError` where they cannot be written."""
    builder = _builder(root)
    if not _is_complete(builder):
        builder = _prepare(builder, root)
    return Splits(_read(builder, "train"), _read(builder, "held_out"), _SHAPE, _LEVELS)


def unprepared_digits() -> Splits:
    """The digits, written nowhere."""
    made = {split: Arrays(*arrays) for split, arrays in _made().items()}
    return Splits(made["train"], made["held_out"], _SHAPE, _LEVELS)


def _made() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images [n, 8, 8, 1] uint8 and labels [n] int32 of `train` and `held_out`."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    # RandomState, because numpy froze its numbers for good; those of Generator may change.
    order = np.random.RandomState(0).permutation(sum(_SIZES.values()))
    images = np.asarray(pixels)[order].reshape(-1, *_SHAPE).astype(np.uint8)
    labels = np.asarray(labels)[order].astype(np.int32)
    cut = _SIZES["train"]
    return {"train": (images[:cut], labels[:cut]), "held_out": (images[cut:], labels[cut:])}


def _builder(root: Path) -> HandwrittenDigits:
    try:
        return HandwrittenDigits(data_dir=root)
    except OSError:
        raise
    except Exception as error:
        raise _unusable(root / HandwrittenDigits.name / str(HandwrittenDigits.VERSION), error) from error


def _prepare(builder: HandwrittenDigits, root: Path) -> HandwrittenDigits:
    try:
        # tfds writes into a temporary sibling and renames it: a kill leaves nothing under the final name. It
        # also announces itself on standard output, which belongs to the caller's results.
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            tempfile.TemporaryDirectory() as unused,
        ):
            builder.download_and_prepare(
                file_format="array_record",
                download_dir=unused,
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
    except OSError:
        # Another process may have been first to rename.
        builder = _builder(root)
        if not _is_complete(builder):
            raise
    return builder


def _is_complete(builder: HandwrittenDigits) -> bool:
    return (Path(builder.data_dir) / "dataset_info.json").exists()


def _read(builder: HandwrittenDigits, split: str) -> Arrays:
    folder = Path(builder.data_dir)
    try:
        records: Any = builder.as_data_source(split)  # pyright: ignore[reportCallIssue]
        examples = records.__getitems__(list(range(len(records))))
        images = np.stack([example["image"] for example in examples])
        labels = np.stack([example["label"] for example in examples])
    except Exception as error:
        raise _unusable(folder, error) from error
    if images.shape != (_SIZES[split], *_SHAPE) or images.max() >= _LEVELS:
        raise _unusable(folder, f"{split} has shape {images.shape} and levels up to {images.max()}")
    return Arrays(images, labels)


def _unusable(folder: Path, found: Exception | str) -> InputError:
    reason = " ".join(str(found).split())
    return InputError(f"{folder} does not hold the digits ({reason}); delete it, and it is prepared again")
