"""Names that others chose cannot forge lines or command a terminal, and no file is waited for."""

import json
import os

import numpy as np
import pytest

from sde_jax.checkpoints import read_checkpoint, require_match, write_safetensors
from sde_jax.errors import InputError, shown

FORGED = "w\nsde-jax: all is well\x1b[2J\x9b31m\r\u2028\u202ex"


def test_shown_text_is_one_line_of_what_prints_and_leaves_languages_alone():
    told = shown(FORGED)
    assert told.isprintable()
    assert told.splitlines() == [told]
    assert told == "w\\nsde-jax: all is well\\x1b[2J\\x9b31m\\r\\u2028\\u202ex"
    assert shown("größe 日本 β₁") == "größe 日本 β₁"
    assert len(shown("a" * 10**6)) < 210
    assert shown("x\udcff") == "x\\udcff"


@pytest.mark.parametrize("found", [{FORGED: (2,)}, {"w": (3,), FORGED: (2,)}])
def test_the_name_of_a_tensor_is_escaped_where_it_is_told(found):
    with pytest.raises(InputError) as caught:
        require_match(found, {"w": (2,)}, "file")
    assert str(caught.value).isprintable()


def test_a_tensor_with_a_forged_name_makes_no_line_of_its_own(tmp_path, sde_jax):
    write_safetensors(
        tmp_path / "w", {FORGED: np.zeros(2, np.float32), "map_layer0.weight": np.zeros((2, 2), np.float32)}
    )
    problems = sde_jax("convert", "--checkpoint", tmp_path / "w", "--workdir", tmp_path / "run").problems
    assert all(line.isprintable() and not line.startswith("all is well") for line in problems)


def test_a_key_of_a_config_with_a_line_break_makes_one_line(run, sde_jax):
    data = json.loads((run / "config.json").read_text())
    data["experiment"]["sde"][FORGED] = data["experiment"]["samplers"]["pc"][FORGED] = FORGED
    (run / "config.json").write_text(json.dumps(data))
    problems = sde_jax("sample", "--workdir", run).problems
    assert len(problems) == 2
    assert all(line.isprintable() and "no such setting" in line for line in problems)


@pytest.mark.parametrize("kind", ["pipe", "folder", "/dev/zero", "/dev/null"])
def test_what_is_no_file_is_told_at_once(kind, tmp_path, run, sde_jax):
    path = tmp_path / kind.strip("/").replace("/", "_")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(kind)
    with pytest.raises(InputError):
        read_checkpoint(path)
    npy = path.rename(tmp_path / "x.npy")
    data = ["--config.data.path", npy, "--workdir", tmp_path / "new"]
    for command in (
        ["convert", "--checkpoint", npy, "--workdir", tmp_path / "new"],
        ["train", *sde_jax.tiny, "--config.data=ArrayFile", *data],
        ["train", *sde_jax.tiny, "--config.data=Table", *data],
        ["train", *sde_jax.tiny, "--config.data=Images", *data],
        ["train", *sde_jax.tiny, "--config.data=TFRecordImages", *data],
        ["train", *sde_jax.tiny, "--config.data=Prepared", *data],
        ["train", "--config", npy, "--workdir", tmp_path / "new"],
        ["restore", "--workdir", run, "--task=inpaint", "--input", npy],
        ["restore", "--workdir", run, "--task=inpaint", "--example=1", "--mask", npy],
        ["evaluate", "--workdir", run, "--reference", npy, "--metrics=frechet"],
    ):
        assert len(sde_jax(*command).problems) <= 2
    assert not (tmp_path / "new").exists()
