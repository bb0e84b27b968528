"""Images are read as every viewer shows them; metadata that change what is seen are followed, or refused by name."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from sde_jax.commands.restoration.files import levels_of, mask_of
from sde_jax.data import Images
from sde_jax.data.image_decoding import decoded
from sde_jax.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
ORIENTATIONS = range(1, 9)


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def saved(pixels=PIXELS, kind="PNG", **settings) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **settings)
    return stream.getvalue()


def with_late_exif(orientation: int) -> bytes:
    """A PNG whose metadata are behind its pixels, which the format allows."""
    content, chunk = saved(), b"eXIf" + exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    late = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:-12] + late + content[-12:]


def seen(content: bytes) -> np.ndarray:
    """The pixels that Pillow's own function for viewers makes."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_orientation_is_followed_as_viewers_do(kind, orientation):
    content = saved(kind=kind, exif=exif(orientation))
    np.testing.assert_array_equal(decoded(content, "x"), seen(content))
    upright = decoded(saved(kind=kind), "x")
    shapes = {False: (6, 4, 3), True: (4, 6, 3)}
    assert decoded(content, "x").shape == shapes[orientation > 4]
    assert np.array_equal(np.sort(decoded(content, "x").ravel()), np.sort(upright.ravel()))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_metadata_behind_the_pixels_count_too(orientation):
    content = with_late_exif(orientation)
    np.testing.assert_array_equal(decoded(content, "x"), decoded(saved(exif=exif(orientation)), "x"))


def test_what_turns_a_quarter_to_the_right_is_known_by_its_corners():
    """Orientation 6: the first row of the file is the right side of what is seen."""
    found = decoded(saved(exif=exif(6)), "x")
    np.testing.assert_array_equal(found[:, -1], PIXELS[0])
    np.testing.assert_array_equal(found[0, 0], PIXELS[-1, 0])


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_is_none_and_damaged_metadata_turn_nothing(value, tmp_path):
    (tmp_path / "0.png").write_bytes(saved(exif=exif(value)))
    assert Images(str(tmp_path), held_out_per_class=0).open().shape == PIXELS.shape
    np.testing.assert_array_equal(decoded(saved(exif=exif(value)), "x"), PIXELS)
    np.testing.assert_array_equal(decoded(saved(exif=b"Exif\0\0damaged"), "x"), PIXELS)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("size", [None, 3])
def test_a_folder_of_turned_images_is_read_upright_and_inspect_counts_them(tmp_path, zipped, size, sde_jax):
    files = {f"{n}.png": saved(np.roll(PIXELS, n), exif=exif(6)) for n in range(3)}
    files["3.png"] = saved(PIXELS.transpose(1, 0, 2))
    place = tmp_path / "images.zip"
    if zipped:
        with zipfile.ZipFile(place, "w") as archive:
            [archive.writestr(name, content) for name, content in files.items()]
    else:
        place = tmp_path / "images"
        place.mkdir()
        [(place / name).write_bytes(content) for name, content in files.items()]
    splits = Images(str(place), held_out_per_class=0, size=size).open()
    assert splits.shape == ((3, 3, 3) if size else (4, 6, 3))
    if size is None:
        np.testing.assert_array_equal(splits.train[0]["data"], np.rot90(PIXELS, -1))
    outcome = sde_jax("data", "inspect", place, "--output", tmp_path / "found").done()
    assert "3 images are turned or mirrored" in outcome.out
    assert json.loads((tmp_path / "found.json").read_text())["turned"] == 3


def test_a_large_image_has_the_shape_that_is_seen_before_it_is_read(tmp_path):
    large = np.random.default_rng(1).integers(0, 256, (360, 240, 3)).astype(np.uint8)
    for kind in ("png", "jpeg"):
        (tmp_path / kind).mkdir()
        for n in range(2):
            content = saved(large, kind.upper(), exif=exif(8))
            assert len(content) > 16 * 2**10
            (tmp_path / kind / f"{n}.{kind}").write_bytes(content)
        splits = Images(str(tmp_path / kind), held_out_per_class=0).open()
        assert splits.shape == splits.train[1]["data"].shape == (240, 360, 3)


def test_inputs_and_masks_of_restore_are_turned_too(tmp_path):
    (tmp_path / "x.png").write_bytes(saved(exif=exif(6)))
    np.testing.assert_array_equal(levels_of(tmp_path / "x.png", 256), np.rot90(PIXELS, -1))
    mask = np.uint8(255 * (np.arange(24).reshape(6, 4) % 3 == 0))
    (tmp_path / "mask.png").write_bytes(saved(mask, exif=exif(6)))
    np.testing.assert_array_equal(mask_of(tmp_path / "mask.png", (4, 6, 1))[..., 0], np.rot90(mask, -1) == 255)


def test_the_first_picture_of_several_in_a_jpeg_is_taken():
    stream = io.BytesIO()
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(stream, "MPO", save_all=True, append_images=[second])
    assert decoded(stream.getvalue(), "x")[0, 0, 0] > 200


@pytest.mark.parametrize(
    ("image", "kind", "settings", "said"),
    [
        (Image.new("CMYK", (4, 4)), "JPEG", {}, "the mode CMYK"),
        (Image.new("RGBA", (4, 4)), "PNG", {}, "the mode RGBA"),
        (Image.new("LA", (4, 4)), "PNG", {}, "the mode LA"),
        (Image.new("I;16", (4, 4)), "PNG", {}, "the mode I;16"),
        (Image.new("P", (4, 4)), "PNG", {"transparency": 0}, "the mode P and a transparent colour"),
        (Image.new("RGB", (4, 4)), "PNG", {"transparency": (0, 0, 0)}, "a transparent colour"),
        (Image.new("RGBA", (4, 4)), "WEBP", {}, "the mode RGBA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_8_bits_a_channel_cannot_hold_is_refused_by_its_mode(image, kind, settings, said):
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    with pytest.raises(InputError, match=said):
        decoded(stream.getvalue(), "x")
