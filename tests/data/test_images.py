"""A folder and a zip of the same images are the same data; whatever cannot be used is refused by name."""

import dataclasses
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sde_jax.data import Images, batches
from sde_jax.data.image_files import LARGEST_BYTES
from sde_jax.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 5, 4, 3)).astype(np.uint8)
CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg-train.zip"


def saved(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def encoded(pixels: np.ndarray, kind: str = "PNG", **settings) -> bytes:
    return saved(Image.fromarray(pixels), kind, **settings)


def contents() -> dict[str, bytes]:
    """Twelve RGB images in two folders, labels 0, 1, 2 in turn, not written in name order."""
    names = [f"{'ab'[row % 2]}/image{row:02}.png" for row in range(12)]
    labels = {"labels": [[name, row % 3] for row, name in enumerate(names)], "classes": ["x", "y", "z"]}
    images = {name: encoded(PIXELS[row]) for row, name in reversed(list(enumerate(names)))}
    return {**images, "dataset.json": json.dumps(labels).encode()}


def unlabelled(**changed: bytes) -> dict[str, bytes]:
    images = {name: content for name, content in contents().items() if name != "dataset.json"}
    return {**images, **changed}


def write(kind: str, root: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> str:
    if kind == "zip":
        with zipfile.ZipFile(root / "images.zip", "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return str(root / "images.zip")
    for name, content in files.items():
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "images").mkdir(exist_ok=True)
    return str(root / "images")


def refusal(path: str, held_out_per_class: int = 1) -> str:
    with pytest.raises(InputError) as raised:
        Images(path, held_out_per_class).open()
    message = str(raised.value)
    assert "\n" not in message
    return message


def rows(source) -> list[tuple[bytes, int, int]]:
    examples = [source[index] for index in range(len(source))]
    return [(one["data"].tobytes(), int(one["label"]), int(one["index"])) for one in examples]


both = pytest.mark.parametrize("kind", ["folder", "zip"])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_folder_and_a_zip_of_the_same_files_are_the_same_data(tmp_path, method):
    folder = Images(write("folder", tmp_path, contents()), 1).open()
    archive = Images(write("zip", tmp_path, contents(), method), 1).open()
    assert (folder.shape, folder.levels) == (archive.shape, archive.levels) == ((5, 4, 3), 256)
    assert rows(folder.train) == rows(archive.train)
    assert rows(folder.held_out) == rows(archive.held_out)


@both
def test_the_last_n_of_each_class_in_name_order_are_held_out_and_the_rest_keep_their_order(tmp_path, kind):
    splits = Images(write(kind, tmp_path, contents()), held_out_per_class=2).open()
    # In name order: a/image00, 02, .. 10, b/image01, 03, .. 11.
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    held_out = [row for row in order if row in {3, 9, 1, 7, 5, 11}]
    train = [row for row in order if row not in held_out]
    assert rows(splits.train) == [(PIXELS[r].tobytes(), r % 3, i) for i, r in enumerate(train)]
    assert rows(splits.held_out) == [(PIXELS[r].tobytes(), r % 3, i) for i, r in enumerate(held_out)]


@both
@pytest.mark.parametrize("labels", [None, b'{"labels": null}', b'{"labels": null, "classes": ["x"]}'])
def test_without_labels_the_last_n_of_all_are_held_out_and_every_label_is_minus_one(tmp_path, kind, labels):
    files = unlabelled() if labels is None else {**unlabelled(), "dataset.json": labels}
    splits = Images(write(kind, tmp_path, files), held_out_per_class=2).open()
    assert [row[0] for row in rows(splits.held_out)] == [PIXELS[9].tobytes(), PIXELS[11].tobytes()]
    assert {row[1] for row in rows(splits.train) + rows(splits.held_out)} == {-1}
    assert len(splits.train) == 10


def test_labels_as_pairs_and_labels_as_a_mapping_are_the_same(tmp_path):
    files = contents()
    document = json.loads(files["dataset.json"])
    mapping = json.dumps({"labels": dict(document["labels"])}).encode()
    (tmp_path / "other").mkdir()
    pairs = Images(write("zip", tmp_path, files), 1).open()
    mapped = Images(write("zip", tmp_path / "other", {**files, "dataset.json": mapping}), 1).open()
    assert rows(pairs.train) == rows(mapped.train)


def test_nothing_need_be_held_out(tmp_path):
    splits = Images(write("zip", tmp_path, contents()), held_out_per_class=0).open()
    assert (len(splits.train), len(splits.held_out)) == (12, 0)


@both
@pytest.mark.parametrize(
    ("suffix", "channels"),
    [("webp", 3), *((suffix, count) for suffix in ("png", "jpg", "jpeg", "bmp", "PNG") for count in (1, 3))],
)
def test_every_format_gives_what_pillow_decodes(tmp_path, kind, suffix, channels):
    # Larger than what opening reads of a file, so that the header alone is read where it can be.
    pixels = np.random.default_rng(1).integers(0, 256, (3, 256, 200, 3)).astype(np.uint8)
    pixels = pixels[..., 0] if channels == 1 else pixels
    format_name = "JPEG" if suffix == "jpg" else suffix.upper()
    files = {f"{row}.{suffix}": encoded(image, format_name) for row, image in enumerate(pixels)}
    splits = Images(write(kind, tmp_path, files), held_out_per_class=1).open()
    assert splits.shape == (256, 200, channels)
    for index in range(2):
        decoded = np.asarray(Image.open(io.BytesIO(files[f"{index}.{suffix}"])))
        np.testing.assert_array_equal(splits.train[index]["data"], decoded.reshape(256, 200, channels))


def test_a_header_behind_long_metadata_is_found(tmp_path):
    comment = encoded(PIXELS[0], "JPEG", comment=b"x" * 40_000)
    splits = Images(write("zip", tmp_path, {"0.jpg": comment, "1.jpg": comment}), 1).open()
    assert splits.shape == (5, 4, 3)


@both
def test_hidden_files_and_other_files_are_passed_over(tmp_path, kind):
    others = dict.fromkeys((".DS_Store", "a/._x.png", "__MACOSX/a/x.png", "readme.txt", ".x/y.gif"), b"?")
    splits = Images(write(kind, tmp_path, {**contents(), **others}), 1).open()
    assert len(splits.train) + len(splits.held_out) == 12


def test_links_are_followed_and_a_circle_of_them_is_refused(tmp_path):
    path = Path(write("folder", tmp_path / "there", unlabelled()))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(path)
    assert len(Images(str(tmp_path / "here"), 1).open().train) == 11
    (path / "circle").symlink_to(path)
    assert "links lead to" in refusal(str(path))


def test_threads_that_read_one_zip_read_what_one_thread_reads(tmp_path):
    source = Images(write("zip", tmp_path, contents(), zipfile.ZIP_DEFLATED), 0).open().train
    expected = rows(source)
    stream = batches(source, batch_size=12, seed=0, num_threads=8)
    for _ in range(50):
        batch = next(stream)
        for row, index in enumerate(batch["index"]):
            assert batch["data"][row].tobytes() == expected[index][0]


def test_a_missing_path_is_refused_by_name(tmp_path):
    assert "nowhere" in refusal(str(tmp_path / "nowhere"))
    assert "no path" in refusal("")
    assert "nobody" in refusal("~nobody-of-this-name/images")


@both
def test_no_images_are_refused(tmp_path, kind):
    assert "holds no images among 1 files" in refusal(write(kind, tmp_path, {"readme.txt": b""}))
    assert "images" in refusal(write(kind, tmp_path, {}))


@pytest.mark.parametrize("damage", [b"", b"not a zip", "truncated", "directory"])
def test_a_file_that_is_no_zip_is_refused_by_name(tmp_path, damage):
    path = Path(write("zip", tmp_path, contents()))
    whole = bytearray(path.read_bytes())
    if damage == "truncated":
        damage = whole[: len(whole) // 2]
    elif damage == "directory":
        whole[whole.index(b"PK\x01\x02")] ^= 1
        damage = whole
    path.write_bytes(damage)
    assert "images.zip is not a zip that can be read" in refusal(str(path))


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/x.png", "C:/x.png", "c:x.png", "a\\x.png", "a//x.png", "./x.png"]
)
def test_an_unsafe_name_in_a_zip_is_refused(tmp_path, name):
    assert f"holds the name {name!r}" in refusal(write("zip", tmp_path, {**contents(), name: b""}))


def test_a_name_with_a_null_byte_is_refused(tmp_path):
    path = Path(write("zip", tmp_path, unlabelled(**{"x0y.png": b""})))
    path.write_bytes(path.read_bytes().replace(b"x0y.png", b"x\0y.png"))
    assert r"holds the name 'x\x00y.png'" in refusal(str(path))


def test_a_name_with_a_backslash_in_a_folder_is_refused(tmp_path):
    assert r"'a\\x.png'" in refusal(write("folder", tmp_path, {**contents(), "a\\x.png": b""}))


def test_a_name_that_a_zip_holds_twice_is_refused(tmp_path):
    path = write("zip", tmp_path, contents())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("b/image01.png", b"")
    assert "'b/image01.png' twice" in refusal(path)


def test_an_entry_that_declares_an_absurd_size_is_refused(tmp_path):
    path = Path(write("zip", tmp_path, unlabelled()))
    archive = bytearray(path.read_bytes())
    entry = archive.rindex(b"PK\x01\x02")
    struct.pack_into("<I", archive, entry + 24, LARGEST_BYTES + 1)
    path.write_bytes(archive)
    assert f"'a/image00.png' has {LARGEST_BYTES + 1} bytes" in refusal(str(path))


def test_a_file_of_an_absurd_size_is_refused(tmp_path):
    path = write("folder", tmp_path, contents())
    with open(Path(path) / "big.png", "wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    assert "'big.png' has" in refusal(path)


def test_an_encrypted_or_oddly_compressed_entry_is_refused(tmp_path):
    path = Path(write("zip", tmp_path, contents(), zipfile.ZIP_BZIP2))
    assert "is compressed by method 12" in refusal(str(path))
    archive = bytearray(Path(write("zip", tmp_path, contents())).read_bytes())
    archive[archive.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(archive)
    assert "'dataset.json' is encrypted" in refusal(str(path))


def test_what_is_not_an_ordinary_file_is_refused(tmp_path):
    path = write("folder", tmp_path, contents())
    os.mkfifo(Path(path) / "pipe.png")
    assert "'pipe.png' is not an ordinary file" in refusal(path)
    (Path(path) / "pipe.png").unlink()
    (Path(path) / "gone.png").symlink_to("nowhere")
    assert "gone.png" in refusal(path)


def png(width: int, height: int, bits: int, colour: int) -> bytes:
    """A PNG file of the header given whose pixels are zeros as far as they are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animation() -> bytes:
    frames = [Image.fromarray(PIXELS[row]) for row in range(3)]
    return saved(frames[0], save_all=True, append_images=frames[1:])


UNUSABLE = {
    "smaller": (encoded(PIXELS[0][:4]), "height, width and channels (4, 4, 3); expected (5, 4, 3)"),
    "grey": (encoded(PIXELS[0][..., 0]), "channels (5, 4, 1); expected (5, 4, 3)"),
    "transparent palette": (saved(Image.fromarray(PIXELS[0]).quantize(), transparency=0), "the mode P and a transp"),
    "transparent colour": (saved(Image.fromarray(PIXELS[0]), transparency=(1, 2, 3)), "the mode RGB and a transparent"),
    "CMYK": (saved(Image.fromarray(PIXELS[0]).convert("CMYK"), "JPEG"), "the mode CMYK"),
    "alpha": (encoded(np.concatenate([PIXELS[0], PIXELS[0][..., :1]], -1)), "the mode RGBA"),
    "16-bit grey": (png(4, 5, 16, 0), "the mode I;16"),
    "16-bit RGB": (png(4, 5, 16, 2), "the mode RGB;16B"),
    "1-bit": (png(4, 5, 1, 0), "channels (5, 4, 1); expected (5, 4, 3)"),
    "animated": (animation(), "is animated"),
    "bomb": (png(60_000, 60_000, 8, 2), "cannot be read"),
    "empty": (b"", "cannot be read"),
    "text": (b"no image", "cannot be read"),
    "gif": (encoded(PIXELS[0], "GIF"), "cannot be read"),
    "header only": (encoded(PIXELS[0])[:20], "cannot be read"),
}


@both
@pytest.mark.parametrize("case", UNUSABLE)
def test_an_image_unlike_the_first_is_refused_by_name(tmp_path, kind, case):
    content, reason = UNUSABLE[case]
    message = refusal(write(kind, tmp_path, unlabelled(**{"b/strange.png": content})))
    assert "'b/strange.png'" in message
    assert reason in message


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_more_pixels_than_pillow_accepts_are_refused_where_pillow_only_warns(tmp_path):
    message = refusal(write("zip", tmp_path, {"x.png": png(10_000, 10_000, 8, 2)}), 0)
    assert "'x.png' has 10000 x 10000 pixels" in message


@both
@pytest.mark.parametrize("suffix", ["gif", "tif", "tiff"])
def test_a_format_that_is_not_read_is_refused_by_name(tmp_path, kind, suffix):
    message = refusal(write(kind, tmp_path, {**contents(), f"b/x.{suffix}": b""}))
    assert f"'b/x.{suffix}' is not PNG, JPEG, WebP or BMP" in message


LABELS = {
    "not json": (b"{", "cannot be read as JSON"),
    "not text": (b"\xff\xfe\x00", "cannot be read as JSON"),
    "nested": (b"[" * 200_000, "cannot be read as JSON"),
    "a list": (b"[]", "holds a list"),
    "a number": (b'{"labels": 3}', "labels is 3"),
    "no pairs": (b'{"labels": [["a/image00.png"]]}', "labels holds ['a/image00.png']"),
    "no name": (b'{"labels": [[1, 2]]}', "labels holds [1, 2]"),
    "unknown": (b'{"labels": [["a/other.png", 0]]}', "labels 'a/other.png', which is not"),
    "twice": (b'{"labels": [["a/image00.png", 0], ["a/image00.png", 1]]}', "'a/image00.png' twice"),
    "fraction": (b'{"labels": [["a/image00.png", 0.5]]}', "'a/image00.png' the label 0.5"),
    "negative": (b'{"labels": [["a/image00.png", -1]]}', "'a/image00.png' the label -1"),
    "truth": (b'{"labels": [["a/image00.png", true]]}', "'a/image00.png' the label True"),
    "large": (
        b'{"labels": [["a/image00.png", 2]], "classes": ["x", "y"]}',
        "expected an integer from 0 to 1",
    ),
    "classes": (b'{"labels": [], "classes": "xy"}', "classes is 'xy'"),
    "some": (b'{"labels": [["a/image00.png", 0]]}', "no label for 'a/image02.png' and 10 other"),
    "none": (b'{"labels": []}', "no label for 'a/image00.png' and 11 other"),
}


@both
@pytest.mark.parametrize("case", LABELS)
def test_unusable_labels_are_refused_by_name(tmp_path, kind, case):
    content, reason = LABELS[case]
    message = refusal(write(kind, tmp_path, {**contents(), "dataset.json": content}))
    assert "dataset.json" in message
    assert reason in message


@both
def test_labels_that_are_not_at_the_top_are_refused(tmp_path, kind):
    files = {f"inner/{name}": content for name, content in contents().items()}
    assert "'inner/dataset.json' is not at the top" in refusal(write(kind, tmp_path, files))


@both
def test_a_class_with_too_few_images_is_refused_by_number(tmp_path, kind):
    labelled = write(kind, tmp_path, contents())
    assert "class 0 has 4 images; expected more than held_out_per_class = 4" in refusal(labelled, 4)
    assert "12 images in all" in refusal(write(kind, tmp_path, {**unlabelled(), "dataset.json": b"{}"}), 12)


def test_a_negative_number_of_held_out_images_is_refused():
    with pytest.raises(InputError, match="held_out_per_class is -1"):
        Images("x", -1)


def damaged_in_the_middle(content: bytes, size: int = 20) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + size]) + content[middle + size :]


def test_a_small_image_damaged_in_a_zip_is_refused_on_opening(tmp_path):
    path = Path(write("zip", tmp_path, contents()))
    archive = path.read_bytes()
    content = contents()["b/image07.png"]
    path.write_bytes(archive.replace(content, damaged_in_the_middle(content, 1)))
    message = refusal(str(path))
    assert "'b/image07.png'" in message
    assert "CRC" in message


@both
def test_a_large_image_damaged_behind_its_header_is_refused_by_name_when_it_is_read(tmp_path, kind):
    pixels = np.random.default_rng(1).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    content = encoded(pixels)
    path = Path(write(kind, tmp_path, {"0.png": content, "1.png": content}))
    if kind == "zip":
        path.write_bytes(path.read_bytes().replace(content, damaged_in_the_middle(content), 1))
    else:
        (path / "0.png").write_bytes(damaged_in_the_middle(content))
    train = Images(str(path), 1).open().train
    for read in (lambda: train[0], lambda: next(batches(train, batch_size=1, seed=0))):
        with pytest.raises(InputError) as raised:
            read()
        assert "'0.png' cannot be read" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_an_image_that_changes_its_size_or_vanishes_after_opening_is_refused_by_name(tmp_path):
    path = Path(write("folder", tmp_path, unlabelled()))
    train = Images(str(path), 1).open().train
    (path / "a/image00.png").write_bytes(encoded(PIXELS[0][:4]))
    (path / "a/image02.png").unlink()
    with pytest.raises(InputError, match=r"'a/image00\.png' has height, width and channels \(4, 4, 3\)"):
        train[0]
    with pytest.raises(InputError, match=r"'a/image02\.png' cannot be read"):
        train[1]


def test_images_are_a_value_that_json_can_carry():
    assert Images(**json.loads(json.dumps(dataclasses.asdict(Images("here"))))) == Images("here", 500)


def test_the_cifar_10_images_split_into_45000_and_5000_of_ten_equal_classes():
    if not CIFAR.is_file():
        pytest.skip("the images (../shared/data/cifar10-jpeg-train.zip) are not here")
    splits = Images(str(CIFAR)).open()
    assert (len(splits.train), len(splits.held_out)) == (45_000, 5_000)
    assert (splits.shape, splits.levels) == ((32, 32, 3), 256)
    # Sorted by name is sorted by class, so every 4,500th image is of another class.
    assert [int(splits.train[index]["label"]) for index in range(0, 45_000, 4_500)] == list(range(10))
    assert [int(splits.train[index]["label"]) for index in range(4_499, 45_000, 4_500)] == list(range(10))
    assert [int(splits.held_out[index]["label"]) for index in range(0, 5_000, 500)] == list(range(10))
    assert splits.train[44_999]["data"].std() > 0
