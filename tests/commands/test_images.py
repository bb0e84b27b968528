"""Bad images through the command line; tests/data holds what is checked and why."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image


def png(size: int = 8, value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(path, files: dict[str, bytes]):
    with zipfile.ZipFile(path, "w") as zip_:
        for name, content in files.items():
            zip_.writestr(name, content)
    return path


GOOD = {f"{i}.png": png(value=i) for i in range(6)}


@pytest.fixture
def command(sde_jax):
    def run(path, workdir, *more):
        small = [argument for argument in sde_jax.tiny if "network" not in argument or "NCSNpp" not in " ".join(more)]
        settings = ["--config.data=Images", "--config.data.held_out_per_class=2", f"--config.data.path={path}"]
        return sde_jax("train", *small, *settings, *more, "--workdir", workdir)

    return run


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "holds no images among 0 files"),
        ({"readme.txt": b"hello"}, "holds no images among 1 files"),
        ({**GOOD, "../outside.png": png()}, "'../outside.png'; expected a relative path"),
        ({**GOOD, "/etc/absolute.png": png()}, "'/etc/absolute.png'; expected a relative path"),
        (
            {**GOOD, "large.png": png(size=9)},
            "'large.png' has height, width and channels (9, 9, 1); expected (8, 8, 1)",
        ),
        ({**GOOD, "broken.png": png()[:40]}, "'broken.png' cannot be read"),
        ({**GOOD, "text.png": b"no image"}, "'text.png' cannot be read"),
        ({"0.png": png()}, "1 images in all; expected more than held_out_per_class = 2"),
        ({**GOOD, "dataset.json": b"{"}, "dataset.json cannot be read as JSON"),
        (
            {**GOOD, "dataset.json": json.dumps({"labels": [["9.png", 0]]}).encode()},
            "labels '9.png', which is not among",
        ),
    ],
)
def test_images_that_cannot_be_used_are_told_in_one_line_before_anything_is_written(files, told, command, tmp_path):
    (line,) = command(archive(tmp_path / "images.zip", files), tmp_path / "run").problems
    assert str(tmp_path / "images.zip") in line
    assert told in line
    assert not (tmp_path / "run").exists()


def test_a_path_that_is_no_zip_and_no_folder_is_told_in_one_line(command, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("not a zip")
    whole = archive(tmp_path / "whole.zip", GOOD).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    for name, told in {
        "missing.zip": "is no folder and no file",
        "empty": "holds no images",
        "text.zip": "is not a zip that can be read",
        "cut.zip": "is not a zip that can be read",
        "": "no path to the images",
    }.items():
        (line,) = command(tmp_path / name if name else "", tmp_path / "run").problems
        assert told in line
        assert not (tmp_path / "run").exists()


def test_images_of_ones_own_train(command, tmp_path):
    outcome = command(archive(tmp_path / "images.zip", GOOD), tmp_path / "run", "--config.training.steps=2").done()
    assert "2/2" in outcome.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["levels"] == 256


def test_a_run_goes_on_where_its_images_have_been_damaged_since_only_with_an_error(command, tmp_path):
    images = archive(tmp_path / "images.zip", GOOD)
    command(images, tmp_path / "run", "--config.training.steps=2").done()
    archive(images, {**GOOD, "0.png": png(size=9)})
    (line,) = command(images, tmp_path / "run", "--config.training.steps=4").problems
    assert "has height, width and channels" in line


def test_a_picture_that_is_damaged_behind_its_header_ends_the_run_by_its_name_and_what_was_done_is_saved(
    command, tmp_path
):
    (tmp_path / "images").mkdir()
    for name, content in GOOD.items():
        cut = content.index(b"IDAT") + 4 if int(name[0]) % 2 else len(content)
        (tmp_path / "images" / name).write_bytes(content[:cut])
    once = ["--config.training.batch_size=1", "--config.training.steps=4"]
    outcome = command(tmp_path / "images", tmp_path / "run", *once)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    name, step = re.search(r"sde-jax: .*images: '(.)\.png' cannot be read .* step (\d) is saved", outcome.err).groups()
    assert int(name) % 2
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == [step]


def test_a_network_that_does_not_fit_the_images_is_told_in_one_line_before_anything_is_written(command, tmp_path):
    images = archive(tmp_path / "images.zip", {name: png(size=6, value=i) for i, name in enumerate(GOOD)})
    (line,) = command(images, tmp_path / "run", "--config.network=NCSNpp", "--config.network.features=8").problems
    assert "the height is 6, expected a multiple of 8" in line
    assert not (tmp_path / "run").exists()
