"""What is saved can be restored, or is refused before anything is."""

import runpy
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

from sde_jax.errors import InputError, RunError
from sde_jax.training import Checkpoints, storage

PROGRAMS = Path(__file__).parents[1] / "faults" / "checkpoint_programs.py"
state = runpy.run_path(str(PROGRAMS))["state"]
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a[b]c", r"has '\[b\]' in it"),
        ("a[b]c/d", r"'\[b\]'"),
        ("a\\b", r"has '\\\\' in it"),
        ("x\udcffy", "not UTF-8"),
    ],
)
def test_a_name_for_which_nothing_comes_back_is_refused_before_it_is_made(tmp_path, name, told):
    with pytest.raises(InputError, match=told):
        Checkpoints(tmp_path / name / "checkpoints")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_too_long_is_refused_before_anything_is_saved(tmp_path):
    long = tmp_path.joinpath(*["y" * 200] * 19) / ("z" * (3950 - len(str(tmp_path)) - 19 * 201))
    with pytest.raises(InputError, match=r"a path of 39\d\d bytes; expected at most 3900"):
        Checkpoints(long)


def test_a_name_that_no_rule_knows_is_found_by_trying(tmp_path):
    with pytest.raises(InputError, match="what is saved there cannot be restored"):
        Checkpoints(tmp_path / "gs:")
    assert list((tmp_path / "gs:").iterdir()) == []


@pytest.mark.parametrize("name", ["a[b", "日本 é", "a%20*?#{}~:;'\"|&$!"])
def test_other_names_give_back_what_was_saved(tmp_path, name):
    with Checkpoints(tmp_path / name) as checkpoints:
        checkpoints.save(state(3), {"step": 3})
    with Checkpoints(tmp_path / name, read_only=True) as checkpoints:
        assert checkpoints.latest == 3
        assert checkpoints.record() == {"step": 3}


def test_a_save_that_cannot_be_read_back_is_not_committed(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "require_name", lambda directory: None)
    monkeypatch.setattr(storage, "require_storage", lambda directory: None)
    checkpoints = Checkpoints(tmp_path / "a[b]c")
    with pytest.raises(RunError, match=r"a\[b\]c/1: cannot be saved \(it cannot be read back: "), checkpoints:
        checkpoints.save(state(1), {})
    assert checkpoints.steps == []


@pytest.mark.parametrize("most", [1, 2**28])
def test_reading_back_compares_every_array_with_what_was_meant(tmp_path, monkeypatch, most):
    monkeypatch.setattr(storage, "AT_ONCE", most)
    tree = {"a": np.zeros((2, 3), np.float32), "b": [np.int32(1), {"c": np.ones(4)}]}
    meant = {"a": "float32 [2, 3]", "b/0": "int32 []", "b/1/c": "float64 [4]"}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", tree)
    storage.require_restorable(tmp_path / "state", meant)
    for wrong in (meant | {"b/1/c": "float64 [5]"}, meant | {"b/1/c": "float32 [4]"}):
        with pytest.raises(OSError, match="b/1/c cannot be read back"):
            storage.require_restorable(tmp_path / "state", wrong)
    (blob,) = [path for path in (tmp_path / "state" / "d").iterdir() if path.stat().st_size][:1]
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(OSError, match="cannot be read back"):
        storage.require_restorable(tmp_path / "state", meant)
