"""`data prepare` converts what the command line names, and knows its source by content."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sde_jax.commands.data.prepare import identity
from sde_jax.data import ArrayFile, Digits, Images, Prepared, Table, fingerprint

RNG = np.random.default_rng(0)


@pytest.fixture
def array(tmp_path) -> Path:
    np.save(tmp_path / "x.npy", RNG.integers(0, 256, (30, 4, 4, 1)).astype(np.uint8))
    return tmp_path / "x.npy"


@pytest.fixture
def prepare(sde_jax, tmp_path):
    return lambda *arguments: sde_jax("data", "prepare", *arguments, "--output", tmp_path / "out", "--json")


def test_prepared_data_are_those_of_the_path_and_a_second_run_keeps_them(prepare, array, tmp_path):
    settings = "--config.data.held_out=5"
    facts = json.loads(prepare(array, settings, "--shards", 4).done().out)
    source, prepared = ArrayFile(str(array), held_out=5).open(), Prepared(str(tmp_path / "out")).open()
    for split in ("train", "held_out"):
        assert fingerprint(getattr(prepared, split)) == fingerprint(getattr(source, split))
    assert (facts["train"], facts["held_out"], facts["shards"]) == (25, 5, 5)
    assert (facts["examples_kept"], facts["examples_written"]) == (0, 30)
    assert facts["use"] == f"--config.data=Prepared --config.data.path={tmp_path / 'out'}"
    again = json.loads(prepare(array, settings).done().out)
    assert (again["examples_kept"], again["examples_written"]) == (30, 0)


def test_a_source_that_moved_is_the_same_and_one_that_changed_is_another(prepare, array, tmp_path):
    prepare(array).done()
    moved = Path(shutil.move(array, tmp_path / "elsewhere.npy"))
    assert json.loads(prepare(moved).done().out)["examples_kept"] == 30
    changed = np.load(moved)
    changed[7] ^= 1
    np.save(moved, changed)
    (line,) = prepare(moved).problems
    assert "(source.path.sha256)" in line
    (line,) = prepare(moved, "--config.data.held_out=2").problems
    assert "counts.held_out" in line


def test_images_are_prepared_in_the_size_asked_for(prepare, sde_jax, tmp_path):
    from PIL import Image

    for row in range(6):
        Image.fromarray(RNG.integers(0, 256, (8, 10, 3)).astype(np.uint8)).save(tmp_path / f"{row}.png")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as file:
        for path in tmp_path.glob("*.png"):
            file.write(path, path.name)
    prepare(tmp_path / "images.zip", "--size", 4, "--config.data.held_out_per_class=1").done()
    assert Prepared(str(tmp_path / "out")).open().shape == (4, 4, 3)
    (line,) = prepare(tmp_path / "images.zip", "--config.data.held_out_per_class=1").problems
    assert "(shape, source.size)" in line
    found = json.loads(
        sde_jax("data", "inspect", tmp_path / "out", "--output", tmp_path / "found", "--json").done().out
    )
    assert (found["data"]["type"], found["examples"]) == ("Prepared", {"train": 5, "held_out": 1})


def test_the_data_of_a_config_are_prepared(sde_jax, prepare, tmp_path):
    outcome = sde_jax("data", "prepare", "--config=configs/digits_vp.py", "--output", tmp_path / "out").done()
    assert "use                --config.data=Prepared" in outcome.out
    prepared = Prepared(str(tmp_path / "out")).open()
    assert fingerprint(prepared.train) == fingerprint(Digits().open().train)
    assert prepared.levels == 17


def test_what_cannot_be_prepared_is_told_in_a_line(prepare, array, tmp_path):
    assert "no such setting" in prepare(array, "--size", 4).problems[0]
    assert "is no folder and no file" in prepare(tmp_path / "missing").problems[0]
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    assert "holds other files" in prepare(array).problems[0]


def test_a_source_is_known_by_its_settings_and_by_what_its_files_hold(tmp_path):
    folder, table = tmp_path / "images", tmp_path / "table.csv"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "0.png").write_bytes(b"0")
    table.write_text("a\n1\n")
    first = identity(Images(str(folder)))
    assert first["path"]["files"] == 1
    (folder / ".hidden").write_text("passed over")
    os.utime(folder / "a" / "0.png", (0, 0))
    assert identity(Images(str(folder))) == first
    (folder / "a" / "0.png").rename(folder / "a" / "1.png")
    assert identity(Images(str(folder))) != first
    assert identity(Images(str(folder), 7)) != identity(Images(str(folder), 8))
    assert identity(Table(str(table)))["path"]["files"] == 1
    assert identity(Digits())["path"] == ""


@pytest.mark.slow
def test_training_on_prepared_data_is_training_on_the_data(sde_jax, tmp_path):
    sde_jax("data", "prepare", "--config=configs/digits_vp.py", "--output", tmp_path / "out").done()
    prepared = ["--config.data=Prepared", f"--config.data.path={tmp_path / 'out'}"]
    for name, settings in {"source": [], "prepared": prepared}.items():
        sde_jax("train", *sde_jax.tiny, *settings, "--workdir", tmp_path / name).done()

    def losses(name: str) -> list[float]:
        return [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    assert losses("prepared") == losses("source")
