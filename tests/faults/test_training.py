"""What becomes of runs whose processes are killed, stopped, stuck or started differently."""

import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from sde_jax.training import read_books

STEPS = 150
LONG = [f"--config.training.steps={STEPS}", "--config.training.checkpoint_every=9", "--config.training.log_every=1"]


def same_bits(ours, theirs) -> bool:
    leaves = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return all(a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in leaves)


@pytest.fixture
def pair(sde_jax):
    """Start a command as two processes of one job; the arguments of each may differ at the end."""

    def start(*arguments, own=((), ()), cwd=(None, None)) -> list[subprocess.Popen]:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        together = ["--coordinator", f"localhost:{port}", "--process_count", 2]
        return [sde_jax.start(*arguments, *together, "--process_index", i, *own[i], cwd=cwd[i]) for i in range(2)]

    started: list[subprocess.Popen] = []

    def remembered(*arguments, **settings):
        started.extend(processes := start(*arguments, **settings))
        return processes

    yield remembered
    for process in started:
        process.kill()


def both_done(sde_jax, processes) -> list:
    return [sde_jax.finish(process).done() for process in processes]


def test_two_processes_stop_at_one_step_when_one_is_told_to_and_go_on_bit_for_bit(tmp_path, sde_jax, state_of, pair):
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    command = ["train", *sde_jax.tiny, *LONG, "--workdir"]
    both_done(sde_jax, pair(*command, whole))
    first, second = pair(*command, stopped)
    outcome = sde_jax.stop(second, signal.SIGTERM, stopped, random.randint(2, 60))
    assert (outcome.code, sde_jax.finish(first).code) == (75, 75), outcome.err
    saved = int(state_of(stopped).step)
    assert 2 <= saved < STEPS
    printed, silent = both_done(sde_jax, pair(*command, stopped))
    assert f"continuing from step {saved}" in printed.out
    assert silent.out == ""
    assert same_bits(state_of(stopped), state_of(whole))
    assert [row["step"] for row in read_books(stopped)] == list(range(1, STEPS + 1))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_process_is_killed_the_other_ends_and_the_run_goes_on_bit_for_bit(
    victim, tmp_path, sde_jax, state_of, pair
):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = ["train", *sde_jax.tiny, *LONG, "--workdir"]
    both_done(sde_jax, pair(*command, whole))
    processes = pair(*command, killed)
    assert sde_jax.stop(processes[victim], signal.SIGKILL, killed, random.randint(2, 60)).code == -signal.SIGKILL
    other = sde_jax.finish(processes[1 - victim], timeout=900)
    assert other.code == 76, (other.code, other.err)
    both_done(sde_jax, pair(*command, killed))
    assert same_bits(state_of(killed), state_of(whole))


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_is_the_run_that_was_not(tmp_path, sde_jax, state_of):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = ["train", *sde_jax.tiny, *LONG, "--workdir"]
    for step in sorted(random.choices(range(1, STEPS), k=20)):
        assert sde_jax.stop(sde_jax.start(*command, killed), signal.SIGKILL, killed, step).code == -signal.SIGKILL
    sde_jax(*command, killed).done()
    sde_jax(*command, whole).done()
    assert same_bits(state_of(killed), state_of(whole))
    rows = [[(row["step"], row["loss"]) for row in read_books(folder)] for folder in (killed, whole)]
    assert rows[0] == rows[1]


def images(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((8, 8), 5 * i, np.uint8)).save(folder / f"{i:03}.png")
    return folder


@pytest.mark.slow
def test_two_processes_that_were_started_differently_are_told_apart_before_anything_is_written(tmp_path, sde_jax, pair):
    images(tmp_path / "a" / "data", 24), images(tmp_path / "b" / "data", 20)
    data = ["--config.data=Images", "--config.data.path=data", "--config.data.held_out_per_class=4"]
    command = ["train", *sde_jax.tiny, *data, "--workdir", tmp_path / "run"]
    own = ((), ["--config.seed=3"])
    outcomes = [sde_jax.finish(p) for p in pair(*command, own=own, cwd=(tmp_path / "a", tmp_path / "b"))]
    for outcome in outcomes:
        assert outcome.problems[:2] == [
            "process 1 of 2: config.experiment.seed = 3, elsewhere 0",
            "process 1 of 2: training examples = 16, elsewhere 20",
        ]
    assert not (tmp_path / "run").exists()


STUCK = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from sde_jax.commands import train
from sde_jax.data import Arrays, Splits
from sde_jax.experiment import Experiment, Training
from sde_jax.nn import MLP
from sde_jax.processes import Watchdog

class Stalling(Arrays):
    def __getitem__(self, index):
        if index == 7 and time.monotonic() > began + 3:
            time.sleep(1000)
        return super().__getitem__(index)

@dataclass(frozen=True)
class Slow:
    def open(self):
        source = Stalling(np.zeros((16, 2, 2, 1), np.uint8))
        return Splits(source, source, (2, 2, 1), 256)

began = time.monotonic()
watchdog = Watchdog(multiple=10.0, least=2.0, first=60.0)
training = Training(steps=10**6, batch_size=8, log_every=10, checkpoint_every=10**6, watchdog=watchdog)
train.run(Experiment(data=Slow(), network=MLP(width=4, depth=1), training=training), Path(sys.argv[1]))
"""


def test_a_run_whose_data_stall_ends_and_shows_where(tmp_path):
    result = subprocess.run([sys.executable, "-c", STUCK, str(tmp_path)], capture_output=True, text=True, timeout=900)
    assert result.returncode == 76, result.stderr
    told = [line for line in result.stderr.replace("\r", "\n").splitlines() if "no step has ended" in line]
    assert len(told) == 1
    assert "in __getitem__" in result.stderr
