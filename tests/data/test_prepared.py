"""Prepared data are the source, bit for bit, however often their making is interrupted; whatever else is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sde_jax.data import Arrays, Prepared, Scaling, Splits, batches, prepare
from sde_jax.errors import InputError

RNG = np.random.default_rng(0)


def splits(train: np.ndarray, held_out: np.ndarray, levels=256, labels=True, **more) -> Splits:
    named = [(one, np.arange(len(one)) % 3 if labels else None) for one in (train, held_out)]
    return Splits(*(Arrays(*one) for one in named), train.shape[1:], levels, **more)


def images(train: int = 11, held_out: int = 4) -> Splits:
    values = np.random.default_rng(1).integers(0, 256, (train + held_out, 3, 2, 1)).astype(np.uint8)
    return splits(values[:train], values[train:])


def rows(source) -> list[tuple[bytes, str, tuple[int, ...], int, int]]:
    return [
        (one["data"].tobytes(), one["data"].dtype.str, one["data"].shape, int(one["label"]), int(one["index"]))
        for one in (source[index] for index in range(len(source)))
    ]


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        rows(Prepared(str(folder)).open().train)
    (line,) = str(raised.value).splitlines()
    return line


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "source",
    [
        images(),
        splits(RNG.integers(0, 5000, (7, 4)).astype(np.int32), RNG.integers(0, 5000, (2, 4)).astype(np.int32), 5000),
        splits(
            RNG.normal(size=(6, 2)).astype(np.float32),
            np.zeros((0, 2), np.float32),
            None,
            labels=False,
            scaling=Scaling((0.5, 1 / 3), (2.0, 0.1)),
        ),
        splits(
            np.zeros((3, 2, 2), np.uint8), np.ones((1, 2, 2), np.uint8), 2, classes=("a", "b", "c"), left_out=("x.png",)
        ),
    ],
    ids=["images", "many levels", "real numbers", "named classes"],
)
@pytest.mark.parametrize("shards", [None, 1, 3, 100])
def test_prepared_data_are_the_source_bit_for_bit(source, shards, tmp_path):
    prepare(source, {"from": "here"}, tmp_path, shards)
    opened = Prepared(str(tmp_path)).open()
    for split in ("train", "held_out"):
        assert rows(getattr(opened, split)) == rows(getattr(source, split))
    same = ("shape", "levels", "scaling", "classes", "left_out")
    assert [getattr(opened, name) for name in same] == [getattr(source, name) for name in same]
    wanted = min(shards or 1, len(source.train))
    assert len(list(tmp_path.glob("train-*"))) == -(-len(source.train) // -(-len(source.train) // wanted))
    assert not list(tmp_path.glob(".partial-*"))


def test_batches_are_those_of_the_source(tmp_path):
    source = images()
    prepare(source, {}, tmp_path, 3)
    streams = [batches(one.train, batch_size=5, seed=3) for one in (source, Prepared(str(tmp_path)).open())]
    for ours, theirs, _ in zip(*streams, range(5), strict=False):
        assert all(np.array_equal(ours[name], theirs[name]) for name in ("data", "label", "index"))


def test_what_is_complete_is_kept_and_not_read_again(tmp_path):
    manifest = prepare(images(), {}, tmp_path, 3)
    before, kept, written = contents(tmp_path), [], []
    assert prepare(images(), {}, tmp_path, None, kept.append, written.append) == manifest
    assert contents(tmp_path) == before
    assert (sum(kept), written) == (15, [])


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_shard_is_refused_by_name_and_written_again(damage, tmp_path):
    prepare(images(), {}, tmp_path, 3)
    before, path = contents(tmp_path), sorted(tmp_path.glob("train-*"))[1]
    raw = bytearray(path.read_bytes())
    raw[raw.index(images().train[5]["data"].tobytes()[:4]) if damage == "flipped" else 0] ^= 1
    path.write_bytes(raw[:-1] if damage == "cut" else raw)
    if damage == "gone":
        path.unlink()
    assert str(path) in refusal(tmp_path)
    written = []
    prepare(images(), {}, tmp_path, 3, written=written.append)
    assert contents(tmp_path) == before
    assert len(written) == 4


def test_a_bit_flipped_anywhere_in_the_manifest_is_seen(tmp_path):
    prepare(images(), {}, tmp_path)
    path = tmp_path / "manifest.json"
    text = path.read_bytes()
    for position in range(0, len(text), 7):
        changed = bytearray(text)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert str(path) in refusal(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": {"files": "others"}}, "(source.files)"),
        ({"shards": 2}, "(shard_examples)"),
        ({"splits": images(train=12)}, "(counts.train)"),
    ],
)
def test_a_preparation_of_something_else_is_refused_and_left_alone(change, told, tmp_path):
    given = {"splits": images(), "source": {"files": "these"}, "shards": 3}
    prepare(**given, folder=tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="prepared of another source or otherwise " + re.escape(told)):
        prepare(**{**given, **change}, folder=tmp_path)
    assert contents(tmp_path) == before


def test_a_source_that_changed_unseen_is_noticed_at_the_ends_of_its_shards(tmp_path):
    prepare(images(), {}, tmp_path)
    changed = splits(255 - np.stack([images().train[i]["data"] for i in range(11)]), np.zeros((4, 3, 2, 1), np.uint8))
    prepare(changed, {}, tmp_path)
    assert rows(Prepared(str(tmp_path)).open().train) == rows(changed.train)


class Failing:
    """The first few examples, and then an error."""

    def __init__(self, source, good):
        self.source, self.good = source, good

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        if index >= self.good:
            raise InputError(f"example {index} is damaged")
        return self.source[index]


def test_an_unfinished_preparation_is_refused_and_goes_on_where_it_was(tmp_path):
    whole = images()
    broken = Splits(Failing(whole.train, 9), whole.held_out, whole.shape, whole.levels)
    with pytest.raises(InputError, match="example 9 is damaged"):
        prepare(broken, {}, tmp_path, 3)
    assert "not complete (manifest.json: 2 of 4 shards)" in refusal(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["complete"] is False
    written = []
    prepare(whole, {}, tmp_path, 3, written=written.append)
    assert len(written) == 15 - 8
    assert rows(Prepared(str(tmp_path)).open().train) == rows(whole.train)


def test_folders_that_hold_other_things_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("hello")
    with pytest.raises(InputError, match=r"holds other files \('mine.txt'\)"):
        prepare(images(), {}, tmp_path)
    assert "holds no prepared data" in refusal(tmp_path)
    assert "holds no prepared data" in refusal(tmp_path / "mine.txt")
    (tmp_path / "manifest.json").write_text('{"format": "another"}')
    assert "has the format 'another'" in refusal(tmp_path)
    with pytest.raises(InputError, match="no path to the prepared data"):
        Prepared("").open()
    with pytest.raises(InputError, match="cannot be written"):
        prepare(images(), {}, tmp_path / "mine.txt")


def test_examples_that_differ_in_shape_or_type_and_empty_sources_are_refused(tmp_path):
    class Growing(Failing):
        def __getitem__(self, index):
            return {**self.source[index], "data": np.zeros((3, 2 + index, 1), np.uint8)}

    whole = images()
    with pytest.raises(InputError, match="example 1 is uint8 of shape"):
        prepare(Splits(Growing(whole.train, 0), whole.held_out, (3, 2, 1), 256), {}, tmp_path / "one")
    with pytest.raises(InputError, match="the source is empty"):
        prepare(splits(np.zeros((0, 2), np.uint8), np.zeros((0, 2), np.uint8)), {}, tmp_path / "two")


KILLED = """
import os, pathlib, signal, sys, time
import numpy as np
from sde_jax.data import Arrays, Splits, prepare

class Slow(Arrays):
    def __getitem__(self, index):
        time.sleep(0.003)
        return super().__getitem__(index)

values = np.random.default_rng(1).integers(0, 256, (60, 64)).astype(np.uint8)
folder = pathlib.Path(sys.argv[1])
for shards in (0, 1, 6, 11, 99):
    child = os.fork()  # each prepares in a process of its own; imports take seconds
    if not child:
        prepare(Splits(Slow(values[:48]), Slow(values[48:]), (64,), 256), {}, folder, 12)
        os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
        if len(list(folder.glob("*-of-*"))) >= shards:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
    print(len(list(folder.glob("*-of-*"))))
"""


def test_a_preparation_killed_anywhere_is_completed_by_the_next_and_equal(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "killed"], capture_output=True, text=True, timeout=900
    )
    assert result.returncode == 0, result.stderr
    whole_at = [int(line) for line in result.stdout.split()]
    assert whole_at == sorted(whole_at)
    assert whole_at[1] < whole_at[2] < whole_at[3] < whole_at[4] == 15
    values = np.random.default_rng(1).integers(0, 256, (60, 64)).astype(np.uint8)
    prepare(splits(values[:48], values[48:], labels=False), {}, tmp_path / "whole", 12)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
