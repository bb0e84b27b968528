"""Images of many sizes, kinds and states of repair: what is converted, resized, labelled and left out."""

import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sde_jax.data import Images, batches
from sde_jax.data.image_resizing import squared
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **settings) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **settings)
    return stream.getvalue()


def pixels(height: int, width: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3)).astype(np.uint8)


def write(root: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return str(root)


def refusal(*arguments, **fields) -> str:
    with pytest.raises(InputError) as raised:
        Images(*arguments, **{"held_out_per_class": 0, **fields}).open()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_palette_is_read_as_the_colours_that_it_stands_for(tmp_path):
    image = pixels(6, 5) // 128 * 255
    palette = Image.fromarray(image).quantize(8)
    assert palette.mode == "P"
    splits = Images(write(tmp_path, {"0.png": encoded(image), "1.png": encoded(palette)}), 0).open()
    np.testing.assert_array_equal(splits.train[1]["data"], image)


def test_black_and_white_are_read_as_grey_0_and_255(tmp_path):
    image = np.eye(5, dtype=bool)
    splits = Images(write(tmp_path, {"0.png": encoded(image)}), 0).open()
    assert splits.shape == (5, 5, 1)
    np.testing.assert_array_equal(splits.train[0]["data"][..., 0], 255 * np.eye(5))


def test_with_a_size_images_of_any_size_become_squares_of_it(tmp_path):
    images = [pixels(9, 12), pixels(30, 8), pixels(6, 6), pixels(3, 4)]
    files = {f"{row}.png": encoded(image) for row, image in enumerate(images)}
    splits = Images(write(tmp_path, files), 1, size=6).open()
    assert splits.shape == (6, 6, 3)
    for row in range(3):
        np.testing.assert_array_equal(splits.train[row]["data"], squared(images[row], 6))
    np.testing.assert_array_equal(splits.held_out[0]["data"], squared(images[3], 6))
    assert next(batches(splits.train, batch_size=8, seed=0))["data"].shape == (8, 6, 6, 3)


def test_with_a_size_the_channels_must_still_agree_and_without_the_sizes_must(tmp_path):
    path = write(tmp_path, {"0.png": encoded(pixels(9, 12)), "1.png": encoded(pixels(8, 8)[..., 0])})
    assert "'1.png' has height, width and channels (6, 6, 1); expected (6, 6, 3)" in refusal(path, size=6)
    assert "(8, 8, 1); expected (9, 12, 3) as in the first image: set the data's size" in refusal(path)


def test_folders_at_the_top_are_classes_in_sorted_order(tmp_path):
    names = ["cat/b.png", "cat/deep/a.png", "Dog/c.png", "ant/d.png", "ant/e.png"]
    files = {name: encoded(np.full((2, 2), row, np.uint8)) for row, name in enumerate(names)}
    splits = Images(write(tmp_path, files), 0, labels_from_folders=True).open()
    assert splits.classes == ("Dog", "ant", "cat")
    found = {int(one["data"][0, 0, 0]): splits.classes[one["label"]] for one in map(splits.train.__getitem__, range(5))}
    assert found == {row: name.split("/")[0] for row, name in enumerate(names)}


def test_folders_that_do_not_say_the_class_of_every_image_are_refused(tmp_path):
    image = encoded(pixels(2, 2))
    alone = write(tmp_path / "a", {"cat/0.png": image, "1.png": image})
    assert "'1.png' is in no folder" in refusal(alone, labels_from_folders=True)
    single = write(tmp_path / "b", {"all/cat/0.png": image, "all/dog/1.png": image})
    assert "holds the one folder 'all'" in refusal(single, labels_from_folders=True)
    both = write(tmp_path / "c", {"cat/0.png": image, "dog/1.png": image, "dataset.json": b"{}"})
    assert "has a dataset.json beside labels_from_folders" in refusal(both, labels_from_folders=True)


def test_the_names_of_classes_are_those_of_dataset_json(tmp_path):
    labels = {"labels": {"0.png": 1, "1.png": 0}, "classes": ["x", "y"]}
    files = {"0.png": encoded(pixels(2, 2)), "1.png": encoded(pixels(2, 2))}
    assert Images(write(tmp_path, {**files, "dataset.json": json.dumps(labels).encode()}), 0).open().classes == (
        "x",
        "y",
    )
    assert Images(write(tmp_path / "none", files), 0).open().classes == ()


@pytest.fixture
def damaged(tmp_path) -> str:
    """Eight images, of which five can be used: one is half a JPEG, one of another size, one no image."""
    files = {f"{row}.png": encoded(pixels(40, 40)) for row in range(5)}
    whole = encoded(np.kron(pixels(10, 10), np.ones((4, 4, 1), np.uint8)), "JPEG", quality=95)
    strange = {"half.jpg": whole[: len(whole) // 2], "other.png": encoded(pixels(40, 41)), "text.png": b"text"}
    return write(tmp_path, {**files, **strange})


def test_images_that_cannot_be_used_are_left_out_counted_and_named(damaged, caplog):
    with caplog.at_level(logging.WARNING):
        splits = Images(damaged, 1, skip=3).open()
    assert (len(splits.train), len(splits.held_out)) == (4, 1)
    names = ("half.jpg", "other.png", "text.png")
    assert all(name in line for name, line in zip(names, splits.left_out, strict=True))
    assert "truncated" in splits.left_out[0]
    assert "left out 3 images" in caplog.text
    assert {splits.train[index]["data"].shape for index in range(4)} == {(40, 40, 3)}


def test_more_of_them_than_may_be_left_out_are_refused_by_name(damaged):
    message = refusal(damaged, skip=2)
    assert "more than skip = 2 images cannot be used" in message
    assert all(name in message for name in ("half.jpg", "other.png", "text.png"))
    assert "other.png" in refusal(damaged)


def test_labels_of_images_that_are_left_out_leave_the_others_in_place(damaged):
    names = sorted(path.name for path in Path(damaged).iterdir())
    labels = {"labels": [[name, row] for row, name in enumerate(names)]}
    write(Path(damaged), {"dataset.json": json.dumps(labels).encode()})
    train = Images(damaged, 0, skip=3).open().train
    assert [int(train[index]["label"]) for index in range(5)] == [0, 1, 2, 3, 4]


def test_if_no_image_can_be_used_the_first_is_named(tmp_path):
    path = write(tmp_path, {"0.png": b"text", "1.png": b"text"})
    assert "none of 2 images can be used; the first:" in refusal(path, skip=5)


@pytest.mark.parametrize("fields", [{"size": 0}, {"skip": -1}])
def test_settings_out_of_range_are_refused(fields):
    with pytest.raises(InputError, match="expected"):
        Images("x", **fields)
