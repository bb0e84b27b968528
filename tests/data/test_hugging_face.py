"""A data set of Hugging Face's library is a source of images, and the library is asked for when it is needed."""

import io
import sys
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sde_jax.data import HuggingFace, batches
from sde_jax.data.image_resizing import squared
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (8, 6, 5, 3)).astype(np.uint8)


def encoded(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


class Classes:
    names = ("cat", "dog")


class Picture:
    """The library's feature type of images."""

    def __init__(self, decode: bool = True):
        self.decode = decode


class Data:
    """As much of the library's `Dataset` as is used."""

    def __init__(self, rows: list[dict], features: dict):
        self.rows, self.features = rows, features

    def cast_column(self, name: str, feature: Picture) -> "Data":
        assert not feature.decode
        return Data(self.rows, {**self.features, name: feature})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        assert isinstance(index, int)
        assert not self.features["image"].decode
        return self.rows[index]


@pytest.fixture
def library(monkeypatch, tmp_path) -> ModuleType:
    """A module in the place of `datasets`, with one data set of two splits, one image of which is a file."""
    (tmp_path / "2.png").write_bytes(encoded(IMAGES[2]))
    images = [{"bytes": encoded(image), "path": None} for image in IMAGES]
    images[2] = {"bytes": None, "path": str(tmp_path / "2.png")}
    rows = [{"image": image, "label": row % 2, "id": row} for row, image in enumerate(images)]
    features = {"image": Picture(), "label": Classes(), "id": "int64"}
    module = ModuleType("datasets")
    module.splits = {"train": Data(rows[:6], features), "test": Data(rows[6:], features)}
    module.asked = []

    def load_dataset(name, config, *, split, revision):
        module.asked.append((name, config, split, revision))
        if name == "offline":
            raise ConnectionError("Couldn't reach 'offline'\non the Hub")
        return module.splits[split]

    module.Image, module.load_dataset = Picture, load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def images(source) -> np.ndarray:
    return np.stack([source[index]["data"] for index in range(len(source))])


def refusal(*arguments, **fields) -> str:
    with pytest.raises(InputError) as raised:
        images(HuggingFace(*arguments, **fields).open().train)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_splits_columns_labels_and_names_are_those_asked_for(library):
    splits = HuggingFace("a/b", config="c", revision="d", held_out_split="test", label="label").open()
    assert library.asked == [("a/b", "c", "train", "d"), ("a/b", "c", "test", "d")]
    np.testing.assert_array_equal(images(splits.train), IMAGES[:6])
    np.testing.assert_array_equal(images(splits.held_out), IMAGES[6:])
    assert [int(splits.train[index]["label"]) for index in range(6)] == [0, 1] * 3
    assert (splits.shape, splits.levels, splits.classes) == ((6, 5, 3), 256, ("cat", "dog"))
    assert next(batches(splits.train, batch_size=4, seed=0))["data"].shape == (4, 6, 5, 3)


def test_rows_may_be_held_out_of_the_one_split_and_images_resized(library):
    splits = HuggingFace("a/b", held_out=2, size=4).open()
    assert library.asked == [("a/b", None, "train", None)]
    order = np.random.RandomState(0).permutation(6)
    np.testing.assert_array_equal(images(splits.held_out), [squared(IMAGES[row], 4) for row in np.sort(order[4:])])
    np.testing.assert_array_equal(images(splits.train), [squared(IMAGES[row], 4) for row in np.sort(order[:4])])
    assert (splits.shape, int(splits.train[0]["label"]), splits.classes) == ((4, 4, 3), -1, ())


def test_rows_that_cannot_be_used_are_refused_by_number(library):
    rows = library.splits["train"].rows
    for content, reason in [
        ({"bytes": encoded(IMAGES[0][:4]), "path": None}, "(train): row 3 has height, width and channels (4, 5, 3)"),
        ({"bytes": encoded(IMAGES[0])[:50], "path": None}, "(train): row 3 cannot be read"),
        ({"bytes": None, "path": None}, "(train): row 3 has no image"),
        (None, "(train): row 3 has no image"),
    ]:
        rows[3] = {**rows[3], "image": content}
        assert reason in refusal("a/b")
    rows[3] = {**rows[2], "label": None}
    assert "row 3 has the label None" in refusal("a/b", label="label")


def test_data_that_cannot_be_loaded_and_columns_that_are_none_are_refused(library):
    message = refusal("offline")
    assert "offline (train) cannot be loaded" in message
    assert "(Couldn't reach 'offline' on the Hub)" in message
    assert "has no column 'img'; expected one of 'image', 'label', 'id'" in refusal("a/b", image="img")
    assert "has no column 'fine'" in refusal("a/b", label="fine")
    assert "column 'id' is int64; expected images" in refusal("a/b", image="id")
    assert "has 6 examples; expected more than held_out = 6" in refusal("a/b", held_out=6)


def test_without_the_library_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'sde-jax[datasets]'" in refusal("a/b")


@pytest.mark.parametrize("fields", [{"held_out": -1}, {"size": 0}, {"held_out": 1, "held_out_split": "test"}])
def test_settings_out_of_range_are_refused(fields):
    with pytest.raises(InputError, match="expected"):
        HuggingFace("x", **fields)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_library_itself_reads_a_folder_of_parquet_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["x", "y"])})
    for name, rows in (("train", slice(0, 6)), ("test", slice(6, 8))):
        pictures = [{"bytes": encoded(image), "path": None} for image in IMAGES[rows]]
        content = {"picture": pictures, "kind": [index % 2 for index in range(len(pictures))]}
        pq.write_table(pa.table(content, schema=features.arrow_schema), tmp_path / "set" / f"{name}.parquet")
    dataset = HuggingFace(str(tmp_path / "set"), held_out_split="test", image="picture", label="kind")
    splits = dataset.open()
    np.testing.assert_array_equal(images(splits.train), IMAGES[:6])
    np.testing.assert_array_equal(images(splits.held_out), IMAGES[6:])
    assert (splits.classes, int(splits.train[1]["label"])) == (("x", "y"), 1)
    assert "cannot be loaded" in refusal("no-such-owner/no-such-set")
