"""The paper's data sets, as tfds prepares them, are found at once or missed at once, and cropped as published."""

import io
import json
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorboardX.record_writer import RecordWriter

from sde_jax.data import CIFAR10, LSUN, SVHN, CelebA
from sde_jax.data.image_resizing import Filter, cropped, resized, squared
from sde_jax.data.record_files import ArrayRecordFiles
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)
SMALL = RANDOM.integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
LARGE = RANDOM.integers(0, 256, (5, 218, 178, 3)).astype(np.uint8)
SCENES = RANDOM.integers(0, 256, (5, 60, 75, 3)).astype(np.uint8)
NAMES = ["airplane", "automobile"]


class Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        pass


def prepared(root: Path, name: str, held_out: str, images: np.ndarray, labelled: bool, config: str = "") -> Path:
    """Write three images to train on and two others by tfds, losslessly, in array_record files."""

    def encoded(image: np.ndarray) -> io.BytesIO:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        return io.BytesIO(stream.getvalue())

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("3.0.2")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

        def _info(self):
            features = {"id": tfds.features.Text(), "image": tfds.features.Image()}
            if labelled:
                features["label"] = tfds.features.ClassLabel(names=NAMES)
            return Info(builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(range(3)), held_out: self._generate_examples(range(3, 5))}

        def _generate_examples(self, rows):
            for row in rows:
                label = {"label": row % 2} if labelled else {}
                yield row, {"id": str(row), "image": encoded(images[row]), **label}

    Builder.name = name
    builder = Builder(data_dir=root)
    offline = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(file_format="array_record", download_config=offline, download_dir=root / "unused")
    return Path(builder.data_dir)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tfds")
    prepared(path, "cifar10", "test", SMALL, labelled=True)
    prepared(path, "svhn_cropped", "test", SMALL[::-1], labelled=True)
    prepared(path, "celeb_a", "validation", LARGE, labelled=False)
    prepared(path, "lsun", "validation", SCENES, labelled=False, config="church_outdoor")
    return path


def refusal(dataset) -> str:
    with pytest.raises(InputError) as raised:
        dataset.open()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def images(source) -> np.ndarray:
    return np.stack([source[index]["data"] for index in range(len(source))])


def test_cifar10_is_its_images_labels_names_and_test_split(root):
    splits = CIFAR10(str(root)).open()
    np.testing.assert_array_equal(images(splits.train), SMALL[:3])
    np.testing.assert_array_equal(images(splits.held_out), SMALL[3:])
    assert [int(splits.train[index]["label"]) for index in range(3)] == [0, 1, 0]
    assert (splits.shape, splits.levels, splits.classes) == ((32, 32, 3), 256, ("airplane", "automobile"))


def test_svhn_is_its_images_and_labels_too(root):
    splits = SVHN(str(root)).open()
    np.testing.assert_array_equal(images(splits.train), SMALL[:1:-1])
    assert [int(splits.held_out[index]["label"]) for index in range(2)] == [1, 0]


def test_files_in_the_older_format_are_the_same_data(root, tmp_path):
    # score_sde's users have tfrecord files, which TensorFlow writes: here tensorboardX does, from the same records.
    folder = root / "cifar10" / "3.0.2"
    there = tmp_path / "cifar10" / "3.0.2"
    there.mkdir(parents=True)
    for path in folder.iterdir():
        if "array_record" in path.name:
            records = ArrayRecordFiles([path])
            writer = RecordWriter(str(there / path.name.replace("array_record", "tfrecord")))
            for index in range(len(records)):
                writer.write(records[index])
            writer.close()
        else:
            (there / path.name).write_text(path.read_text().replace('"array_record"', '"tfrecord"'))
    old, new = CIFAR10(str(tmp_path)).open(), CIFAR10(str(root)).open()
    np.testing.assert_array_equal(images(old.train), images(new.train))
    np.testing.assert_array_equal(images(old.held_out), images(new.held_out))
    assert int(old.held_out[1]["label"]) == int(new.held_out[1]["label"]) == 0


def test_celeba_is_the_middle_140_resized_with_a_triangle(root):
    splits = CelebA(str(root), size=16).open()
    middle = LARGE[:, 39:179, 19:159]
    expected = np.stack([resized(image, 16, 16, Filter.BILINEAR) for image in middle])
    np.testing.assert_array_equal(images(splits.train), expected[:3])
    np.testing.assert_array_equal(images(splits.held_out), expected[3:])
    assert (splits.shape, int(splits.train[0]["label"]), splits.classes) == ((16, 16, 3), -1, ())


def test_lsun_is_resized_and_then_cropped_at_128_and_cropped_and_then_resized_at_other_sizes(root):
    other = LSUN("church_outdoor", str(root), size=20).open()
    np.testing.assert_array_equal(images(other.train), [squared(image, 20) for image in SCENES[:3]])
    at_128 = LSUN("church_outdoor", str(root), size=128).open()
    # 60 x 75 becomes 128 x 160.
    expected = cropped(resized(SCENES[4], 128, 160, Filter.BILINEAR), 128, 128)
    np.testing.assert_array_equal(at_128.held_out[1]["data"], expected)


def test_the_newest_version_is_read_and_the_default_folder_is_that_of_tfds(root, tmp_path, monkeypatch):
    old, new = (tmp_path / "cifar10" / version for version in ("3.0.2", "3.0.10"))
    for path in (old, new):
        path.mkdir(parents=True)
        for file in (root / "cifar10" / "3.0.2").iterdir():
            (path / file.name).write_bytes(file.read_bytes())
    (old / "dataset_info.json").write_text("{")
    document = json.loads((new / "dataset_info.json").read_text())
    (new / "dataset_info.json").write_text(json.dumps({**document, "version": "3.0.10"}))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert len(CIFAR10().open().train) == 3
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"in {tmp_path}/tensorflow_datasets" in refusal(CIFAR10())


@pytest.mark.parametrize(
    ("dataset", "command"),
    [
        (CIFAR10, "pip install tensorflow && python -c \"import tensorflow_datasets as tfds; tfds.builder('cifar10',"),
        (SVHN, "tfds.builder('svhn_cropped',"),
        (CelebA, "tfds.builder('celeb_a',"),
        (lambda path: LSUN("bedroom", path), "pip install tensorflow tensorflow-io && "),
        (lambda path: LSUN("bedroom", path), "tfds.builder('lsun/bedroom',"),
    ],
)
def test_data_that_are_not_prepared_are_missed_with_the_command_to_prepare_them(tmp_path, dataset, command):
    message = refusal(dataset(str(tmp_path)))
    assert command in message
    assert f"data_dir='{tmp_path}').download_and_prepare(file_format='array_record')\"" in message


def test_no_network_is_needed(root, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert len(CIFAR10(str(root)).open().train) == 3
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("damage", ["shard", "missing", "info", "features", "count", "format", "other"])
def test_damaged_data_are_refused_by_folder(root, tmp_path, damage):
    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    source = root / ("celeb_a" if damage == "other" else "cifar10") / "3.0.2"
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    shard, info = next(folder.glob("*train*")), folder / "dataset_info.json"
    if damage == "shard":
        shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    elif damage == "missing":
        shard.unlink()
    elif damage == "info":
        info.write_text("{")
    elif damage == "features":
        (folder / "features.json").unlink()
    elif damage == "count":
        info.write_text(info.read_text().replace('"3"', '"4"'))
    elif damage == "format":
        info.write_text(info.read_text().replace('"array_record"', '"riegeli"'))
        for path in folder.glob("*array_record*"):
            path.rename(str(path).replace("array_record", "riegeli"))
    with pytest.raises(InputError, match=r"cifar10/3\.0\.2"):
        images(CIFAR10(str(tmp_path)).open().train)


@pytest.mark.parametrize(
    "wrong", [lambda: CelebA(size=0), lambda: LSUN("bedroom", size=0), lambda: LSUN(""), lambda: LSUN("../x")]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        wrong()
