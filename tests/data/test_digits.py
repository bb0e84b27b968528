"""The digits are scikit-learn's, split once and for all, prepared at most once and never half."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sde_jax.data import Digits
from sde_jax.errors import InputError

PREPARED = Path("handwritten_digits") / "1.0.0"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("digits")
    Digits(str(path)).open()
    return path


@pytest.fixture
def copy(root, tmp_path) -> Path:
    return shutil.copytree(root, tmp_path / "copy")


def scikit_learn_digits() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = load_digits(return_X_y=True)
    return np.asarray(pixels).reshape(-1, 8, 8).astype(np.uint8), np.asarray(labels)


def rows(source) -> list[tuple[bytes, int]]:
    return [(source[i]["data"].tobytes(), int(source[i]["label"])) for i in range(len(source))]


def test_the_two_splits_are_disjoint_and_together_all_the_digits_of_scikit_learn(root):
    splits = Digits(str(root)).open()
    train, held_out = rows(splits.train), rows(splits.held_out)
    assert (len(train), len(held_out)) == (1500, 297)
    theirs = zip(*scikit_learn_digits(), strict=True)
    assert sorted(train + held_out) == sorted((image.tobytes(), int(label)) for image, label in theirs)
    assert not set(train) & set(held_out)


def test_the_split_is_the_documented_permutation(root):
    splits = Digits(str(root)).open()
    images = scikit_learn_digits()[0][np.random.RandomState(0).permutation(1797)]
    np.testing.assert_array_equal(splits.train[0]["data"][..., 0], images[0])
    np.testing.assert_array_equal(splits.train[1499]["data"][..., 0], images[1499])
    np.testing.assert_array_equal(splits.held_out[0]["data"][..., 0], images[1500])


def test_the_digits_have_17_levels_10_classes_and_the_declared_shapes(root):
    splits = Digits(str(root)).open()
    assert (splits.shape, splits.levels) == ((8, 8, 1), 17)
    for source in (splits.train, splits.held_out):
        examples = [source[index] for index in range(len(source))]
        assert {example["data"].shape for example in examples} == {(8, 8, 1)}
        assert {str(example["data"].dtype) for example in examples} == {"uint8"}
        images = np.stack([example["data"] for example in examples])
        assert set(np.unique(images)) == set(range(17))
        assert {int(example["label"]) for example in examples} == set(range(10))
        assert [int(example["index"]) for example in examples] == list(range(len(source)))


def test_prepared_digits_are_read_without_being_prepared_again(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    Digits(str(root)).open()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_nothing_is_printed_and_no_network_is_touched(tmp_path):
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('the network was used')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "from sde_jax.data import Digits\n"
        "assert len(Digits(sys.argv[1]).open().train) == 1500\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_processes_that_prepare_at_once_all_succeed(tmp_path):
    code = "import sys; from sde_jax.data import Digits; print(len(Digits(sys.argv[1]).open().train))"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=900)[0].strip() for process in running] == ["1500"] * 3
    assert [path.name for path in (tmp_path / PREPARED).parent.iterdir()] == ["1.0.0"]


def test_a_preparation_killed_half_way_leaves_nothing_that_is_taken_for_the_data(tmp_path):
    code = (
        "import os, sys\n"
        "from sde_jax.data.digits_builder import HandwrittenDigits\n"
        "from sde_jax.data import Digits\n"
        "complete = HandwrittenDigits._generate_examples\n"
        "def killed(self, images, labels):\n"
        "    for key, example in complete(self, images, labels):\n"
        "        if len(images) < 1000 and key == 100: os._exit(9)\n"
        "        yield key, example\n"
        "HandwrittenDigits._generate_examples = killed\n"
        "Digits(sys.argv[1]).open()\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
    assert any(tmp_path.rglob("*.array_record*"))
    assert not (tmp_path / PREPARED).exists()
    splits = Digits(str(tmp_path)).open()
    assert (len(splits.train), len(splits.held_out)) == (1500, 297)


def test_the_default_path_is_in_the_cache_directory_of_the_user(root, tmp_path, monkeypatch):
    shutil.copytree(root, tmp_path / "sde_jax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert len(Digits().open().train) == 1500
    (tmp_path / "home").mkdir()
    shutil.move(tmp_path / "sde_jax", tmp_path / "home" / ".cache" / "sde_jax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(Digits().open().train) == 1500
    assert not (tmp_path / "sde_jax").exists()


def test_a_path_that_cannot_be_written_is_refused_by_name(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match=r"cannot prepare the digits in .*file/below"):
        Digits(str(file / "below")).open()


@pytest.mark.parametrize("damage", ["shard", "truncated", "info", "missing", "empty", "other"])
def test_damaged_digits_are_refused_by_folder(copy, damage):
    folder = copy / PREPARED
    shard = next(folder.glob("*train*"))
    content = bytearray(shard.read_bytes())
    content[70445] ^= 8
    if damage == "shard":
        shard.write_bytes(content)
    elif damage == "truncated":
        shard.write_bytes(content[: len(content) // 2])
    elif damage == "info":
        (folder / "dataset_info.json").write_text("{")
    elif damage == "missing":
        shard.unlink()
    elif damage == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        shutil.copy(next(folder.glob("*held_out*")), shard)
    with pytest.raises(InputError, match=r"1\.0\.0 does not hold the digits .*delete it") as raised:
        Digits(str(copy)).open()
    assert "\n" not in str(raised.value)


def test_digits_are_a_value_that_json_can_carry():
    assert Digits(**json.loads(json.dumps(dataclasses.asdict(Digits("here"))))) == Digits("here")
