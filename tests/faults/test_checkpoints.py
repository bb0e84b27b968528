"""What becomes of checkpoints on disks and in processes that fail."""

import os
import random
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from sde_jax.errors import InputError, RunError
from sde_jax.training import Checkpoints, TrainState, abstract, data_mesh, manifest, replicated

# Of a save that fails, orbax leaves threads behind that complain of each other.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
PROGRAMS = Path(__file__).with_name("checkpoint_programs.py")
state = runpy.run_path(str(PROGRAMS))["state"]


def start(*arguments: object, **environment: str) -> subprocess.Popen:
    path = os.pathsep.join([str(PROGRAMS.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(PROGRAMS), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", **environment},
    )


def saved(folder: Path, *steps: int) -> Path:
    with Checkpoints(folder, keep=9) as checkpoints:
        for step in steps:
            checkpoints.save(state(step), {"step": step})
    return folder


def restored(folder: Path, rows: int = 8, read_only: bool = False) -> TrainState:
    with Checkpoints(folder, read_only=read_only) as checkpoints:
        return checkpoints.restore(abstract(state(0, rows), replicated(data_mesh())))


def same_bits(ours: TrainState, theirs: TrainState) -> bool:
    leaves = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return all(a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in leaves)


def flip(path: Path, byte: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(byte)
        (value,) = file.read(1)
        file.seek(byte)
        file.write(bytes([value ^ 1 << bit]))


def largest(folder: Path) -> Path:
    return max((folder / "state").glob("**/d/*"), key=lambda path: path.stat().st_size)


def flipped(folder: Path) -> None:
    flip(largest(folder), largest(folder).stat().st_size // 2, 3)


def truncated(folder: Path) -> None:
    os.truncate(largest(folder), largest(folder).stat().st_size // 2)


def zeroed(folder: Path) -> None:
    for path in folder.glob("state/**/*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))


def lost(folder: Path) -> None:
    largest(folder).unlink()


def without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def emptied_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("")


DAMAGES = {
    flipped: "is not as it was saved",
    truncated: "is not as it was saved",
    zeroed: "is not as it was saved",
    lost: "No such file",
    without_manifest: "No such file",
    emptied_manifest: "Expecting value",
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.items())
def test_the_newest_sound_checkpoint_is_used_and_a_damaged_one_is_set_aside_with_the_reason(
    damage, reason, tmp_path, capsys, contents
):
    saved(tmp_path, 1, 2, 3)
    damage(tmp_path / "3")
    before = contents(tmp_path / "3")
    assert same_bits(restored(tmp_path), state(2))
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        rf"sde-jax: .*/3: damaged \(.*{reason}.*\); set aside as damaged-3, the checkpoint before .*", line
    )
    after = contents(tmp_path / "damaged-3")
    assert reason in after.pop("damaged.txt").decode()
    assert after == before
    saved(tmp_path, 3)
    assert same_bits(restored(tmp_path), state(3))
    assert capsys.readouterr().err == ""
    flipped(tmp_path / "3")
    assert same_bits(restored(tmp_path), state(2))
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2", "damaged-3", "damaged-3-2"}


@pytest.mark.parametrize("damage", [flipped, truncated])
def test_a_reader_uses_the_checkpoint_before_a_damaged_one_and_touches_nothing(damage, tmp_path, capsys, contents):
    saved(tmp_path, 1, 2)
    damage(tmp_path / "2")
    before = contents(tmp_path)
    assert same_bits(restored(tmp_path, read_only=True), state(1))
    (line,) = set(capsys.readouterr().err.splitlines())
    assert "left there" in line
    assert contents(tmp_path) == before


def test_an_empty_or_uncommitted_newest_checkpoint_is_none_and_is_removed_but_by_a_reader(tmp_path, capsys):
    saved(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2")
    (tmp_path / "2" / "commit_success.txt").unlink()
    (tmp_path / "3").mkdir()
    assert same_bits(restored(tmp_path, read_only=True), state(1))
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2", "3"}
    assert same_bits(restored(tmp_path), state(1))
    assert {path.name for path in tmp_path.iterdir()} == {"1"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("read_only", [False, True])
def test_where_all_are_damaged_each_is_named_with_its_reason_and_nothing_starts_again(read_only, tmp_path, contents):
    saved(tmp_path, 1, 2)
    flipped(tmp_path / "1")
    without_manifest(tmp_path / "2")
    before = contents(tmp_path)
    with pytest.raises(InputError) as raised:
        Checkpoints(tmp_path, read_only=read_only)
    second, first, last = str(raised.value).splitlines()
    assert re.fullmatch(rf"{tmp_path}/2: damaged \(.*No such file.*\)", second)
    assert re.fullmatch(rf"{tmp_path}/1: damaged \(state/.* is not as it was saved\)", first)
    assert last.startswith(f"{tmp_path}: no checkpoint can be used; put back a copy of one, or remove this directory")
    assert contents(tmp_path) == before


def test_where_only_damaged_ones_are_left_that_were_set_aside_nothing_starts_again(tmp_path, capsys):
    saved(tmp_path, 1, 2)
    flipped(tmp_path / "2")
    assert same_bits(restored(tmp_path), state(1))
    shutil.rmtree(tmp_path / "1")
    with pytest.raises(
        InputError, match=r"damaged-2: damaged \(state/.* is not as it was saved\)\n.*: no checkpoint can"
    ):
        Checkpoints(tmp_path)


def test_any_flipped_bit_in_any_file_of_data_is_detected(tmp_path):
    """100%; Orbax alone restores such states without an error."""
    folder = saved(tmp_path, 1) / "1"
    chance = random.Random(0)
    files = [
        path for path in folder.rglob("*") if path.is_file() and (path.parent != folder or path.name == manifest.FILE)
    ]
    tried = detected = 0
    for path in files:
        for _ in range(64):
            byte, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
            flip(path, byte, bit)
            tried, detected = tried + 1, detected + bool(manifest.damage(folder))
            flip(path, byte, bit)
    assert not manifest.damage(folder)
    assert len(files) >= 6
    assert (tried, detected) == (64 * len(files), 64 * len(files))


def test_a_flipped_bit_in_what_marks_the_commit_changes_nothing(tmp_path):
    folder = saved(tmp_path, 1) / "1"
    marks = [path for path in folder.iterdir() if path.is_file() and path.name != manifest.FILE]
    assert {path.name for path in marks} == {"commit_success.txt", "_CHECKPOINT_METADATA"}
    for path in marks:
        flip(path, path.stat().st_size // 2, 0)
    assert same_bits(restored(tmp_path), state(1))


def test_a_state_saved_on_eight_devices_is_restored_on_four_on_two_by_four_and_on_one_bit_for_bit(tmp_path):
    process = start("change_meshes", tmp_path, XLA_FLAGS="--xla_force_host_platform_device_count=8")
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 4
    assert same_bits(restored(tmp_path), state(1))


def test_two_processes_save_together_agree_on_what_is_sound_and_refuse_together(tmp_path):
    saved(tmp_path, 1)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [start("two_processes", tmp_path, port, index) for index in range(2)]
    outcomes = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    for out, _ in outcomes:
        assert out.splitlines()[-1].startswith(f"{tmp_path}: no checkpoint can be used")
    assert [("set aside as damaged-3" in err) for _, err in outcomes] == [True, False]
    files = [path for path in (tmp_path / "2" / "state").rglob("*") if path.is_file()]
    assert {path.name for path in (tmp_path / "2" / "state").glob("ocdbt.*")} == {"ocdbt.process_0", "ocdbt.process_1"}
    for path in files:
        assert manifest.damage(tmp_path / "2")
        flip(path, path.stat().st_size // 2, 0)
    assert same_bits(restored(tmp_path), state(2))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one mebibyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def save_and_check(folder: Path, step: int) -> None:
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(state(step), {})
        for _ in range(200):
            checkpoints.check()
            time.sleep(0.05)


def test_a_full_disk_ends_the_run_by_the_next_check_and_what_was_saved_is_left(small_disk):
    folder = saved(small_disk / "checkpoints", 1)
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(free - 8192))
    with pytest.raises(RunError, match=rf"{folder}/2: cannot be saved \(.*; what was saved before is there"):
        save_and_check(folder, 2)
    assert same_bits(restored(folder, read_only=True), state(1))
    filler.unlink()
    saved(folder, 2)
    assert same_bits(restored(folder), state(2))


def test_a_quota_does_what_a_full_disk_does(tmp_path):
    process = start("write_under_a_quota", tmp_path)
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert re.match(rf"{tmp_path}/2: cannot be saved \(.*; what was saved before is there", out)
    assert same_bits(restored(tmp_path, rows=4096), state(1, 4096))
    assert {path.name for path in tmp_path.iterdir()} == {"1"}


def test_a_directory_that_has_become_read_only_is_told_by_the_next_check_and_can_be_read(small_disk):
    folder = saved(small_disk / "checkpoints", 1)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RunError, match=rf"{folder}/2: cannot be saved \(.*; what was saved before is there"):
        save_and_check(folder, 2)
    assert same_bits(restored(folder, read_only=True), state(1))


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_after_a_kill_in_the_middle_of_a_save_the_newest_is_whole_and_nothing_committed_is_lost(kills, tmp_path):
    process = start("killed_saves", tmp_path, 4096, kills)
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert int(out) > kills // 3
