"""What a node is looked at for, each thing right and wrong."""

import json
import os
import resource
import socket
import sys
import threading
from pathlib import Path

import pytest

from launch import check

FACTS = {
    "sde_jax": "0.1",
    "python": "3.11.4",
    "jax": "0.10.2",
    "devices": "8 x NVIDIA H200",
    "compilation cache": "off",
}


@pytest.fixture
def wrong():
    """What is wrong, by the thing."""
    return lambda findings: {finding.thing: finding.wrong for finding in findings if finding.wrong}


@pytest.mark.parametrize(
    ("devices", "platform"), [("8 x NVIDIA H200", "gpu"), ("4 x TPU v5 lite", "tpu"), ("1 x cpu", "cpu")]
)
def test_devices_of_the_platform_are_told_from_others(wrong, devices, platform):
    facts = {**FACTS, "devices": devices}
    assert not wrong(check.of_doctor(facts, platform, int(devices[0])))
    for other in {"gpu", "tpu", "cpu"} - {platform}:
        assert wrong(check.of_doctor(facts, other, None)) == {"devices": f"expected {other}"}


def test_too_few_devices_are_wrong(wrong):
    assert wrong(check.of_doctor(FACTS, "gpu", 16)) == {"devices": "expected 16"}


def test_a_cache_that_cannot_be_written_is_wrong(wrong, tmp_path, monkeypatch):
    facts = {**FACTS, "compilation cache": str(tmp_path / "a" / "b")}
    assert not wrong(check.of_doctor(facts, None, None))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert wrong(check.of_doctor(facts, None, None)) == {"cache": "cannot be written"}


def test_a_workdir_is_made_and_left_empty(wrong, tmp_path):
    folder = tmp_path / "runs" / "ffhq"
    assert not wrong(check.workdir(folder, 0))
    assert list(folder.iterdir()) == []


def test_a_workdir_that_cannot_be_is_wrong(wrong, tmp_path):
    (tmp_path / "file").touch()
    assert wrong(check.workdir(tmp_path / "file" / "run", 0)) == {"workdir": "Not a directory"}


def test_little_space_is_wrong(wrong, tmp_path):
    assert wrong(check.workdir(tmp_path, 1e9)) == {"space": "expected 1e+09 GiB (--free_gib)"}


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_that_is_off_is_wrong(wrong, tmp_path, monkeypatch, seconds):
    now = check.time.time
    monkeypatch.setattr(check.time, "time", lambda: now() + seconds)
    assert wrong(check.workdir(tmp_path, 0)) == {"clock": "expected 5 s at most"}


def together(folders: list[Path], timeout: float) -> list[str]:
    """What is wrong by each of several processes, one a folder, that look at the same time."""
    results = [""] * len(folders)

    def look(index: int) -> None:
        results[index] = check.shared(folders[index], len(folders), index, timeout).wrong

    threads = [threading.Thread(target=look, args=(index,)) for index in range(len(folders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_processes_that_share_a_workdir_find_each_other_and_leave_nothing(tmp_path):
    assert together([tmp_path] * 3, 20) == [""] * 3
    assert list(tmp_path.iterdir()) == []


def test_a_process_with_another_workdir_is_seen_by_all(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    assert together([one, one, other], 0.5) == [
        f"1 of 2 others answered in {one}",
        f"1 of 2 others answered in {one}",
        f"0 of 2 others answered in {other}",
    ]


def test_notes_of_an_earlier_check_answer_nothing(tmp_path):
    (tmp_path / ".check").mkdir()
    (tmp_path / ".check" / "1").write_text(json.dumps({"nonce": "old", "seen": ["older"], "done": True}))
    assert check.shared(tmp_path, 2, 0, 0.3).wrong == f"0 of 1 others answered in {tmp_path}"


def test_a_port_is_free_or_taken():
    with socket.socket() as listener:
        listener.bind(("", 0))
        number = listener.getsockname()[1]
        assert check.port(number).wrong == "Address already in use"
    assert not check.port(number).wrong


def test_memory_is_the_least_of_what_is_free_and_the_limits(monkeypatch):
    assert not check.memory(0.001).wrong
    monkeypatch.setattr(resource, "getrlimit", lambda what: (2**30, 2**30))
    assert "own 1.0 GiB" in check.memory(0.5).seen
    assert check.memory(1.5).wrong == "expected 1.5 GiB (--memory_gib)"


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, (1, 0)),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "3"}, (8, 3)),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1"}, (4, 1)),
        ({"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "2"}, (4, 2)),
    ],
)
def test_the_place_of_a_process_is_read_from_its_environment(monkeypatch, environment, place):
    monkeypatch.setattr(os, "environ", environment)
    assert check._place() == place


def test_the_port_of_a_slurm_job_is_the_one_that_jax_takes(monkeypatch):
    from jax._src.clusters.slurm_cluster import SlurmCluster

    monkeypatch.setenv("SLURM_JOB_ID", "123456")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[01-02]")
    assert SlurmCluster.get_coordinator_address(None, None) == f"node01:{check._slurm_port()}"


@pytest.mark.parametrize(("platform", "code"), [("gpu", 0), ("tpu", 2)])
def test_code_2_says_that_something_is_wrong(monkeypatch, tmp_path, capsys, platform, code):
    monkeypatch.setattr(check, "_doctor", lambda platform, devices: check.of_doctor(FACTS, platform, devices))
    flags = ["--workdir", str(tmp_path), "--free_gib", "0", "--memory_gib", "0", "--process_count", "1"]
    assert check.main([*flags, "--platform", platform]) == code
    assert ("WRONG" in capsys.readouterr().out) == (code == 2)


@pytest.mark.slow
def test_one_line_a_thing_and_code_2_where_one_is_wrong(script, tmp_path):
    environment = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    flags = ["--workdir", tmp_path, "--free_gib", 0, "--memory_gib", 0, "--devices", 2, "--platform", "gpu"]
    process = script("check.py", *flags, **environment)
    out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (2, "")
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("ok")] == [
        ["ok", thing] for thing in ("python", "jax", "cache", "memory", "workdir", "space", "clock")
    ]
    assert f"python       {sys.version_info.major}." in out
    assert [line for line in out.splitlines() if not line.startswith("ok")] == [
        "WRONG  devices      2 x cpu: expected gpu"
    ]
