"""What becomes of evaluations that are killed or stopped."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

COUNT = 1600
COMMAND = [
    "evaluate",
    *("--parts=samples", "--metrics=frechet,energy", f"--num_samples={COUNT}", "--batch_size=8"),
    *("--config.evaluation.round_size=8", "--config.evaluation.save_seconds=0"),
]


def position(run: Path) -> int:
    """How many samples of a run have been measured, as its only state says."""
    for path in (run / "evaluation" / "rounds").glob("[!.]*.npz"):
        with np.load(path) as file:
            return int(file["leaf_0"])
    return 0


def stopped(sde_jax, command, run: Path, number: signal.Signals, after: int):
    """The outcome of an evaluation that is sent a signal once it has measured more samples than `after`."""
    process, deadline = sde_jax.start(*command, "--workdir", run), time.monotonic() + 900
    while process.poll() is None and time.monotonic() < deadline:
        if position(run) > after:
            process.send_signal(number)
            return sde_jax.finish(process)
        time.sleep(0.01)
    process.kill()
    return pytest.fail(f"{after} samples were not measured: {process.communicate()}")


@pytest.mark.slow
def test_an_evaluation_that_was_killed_and_stopped_goes_on_to_the_same_bits(run, tmp_path, sde_jax):
    command, copy = [*COMMAND, "--cache", tmp_path / "cache"], shutil.copytree(run, tmp_path / "copy")
    killed = stopped(sde_jax, command, run, signal.SIGKILL, after=0)
    assert killed.code == -signal.SIGKILL
    first = position(run)
    ended = stopped(sde_jax, command, run, signal.SIGTERM, after=first)
    assert ended.code == 75, ended.err
    second = position(run)
    assert 0 < first < second < COUNT
    assert not (run / "evaluation.json").exists()
    sde_jax(*command, "--workdir", run).done()
    sde_jax(*command, "--workdir", copy, "--output", tmp_path / "whole").done()
    found, whole = (json.loads(path.read_text()) for path in (run / "evaluation.json", tmp_path / "whole.json"))
    assert found["rows"] == whole["rows"]
    assert [row["samples"] for row in found["rows"]] == [COUNT, COUNT]
