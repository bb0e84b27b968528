"""A disk that fills up: who writes to it ends at once, and names the file."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sde_jax.commands.evaluate.states import Cache
from sde_jax.commands.sample import save_arrays
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError, RunError
from sde_jax.training import Books, append_line, read_books
from sde_jax.training.event_file import EventFile
from sde_jax.training.lines import replace_text

PATIENCE = 900
"""Seconds, on a machine that others use."""


@contextmanager
def full_disk() -> Iterator[None]:
    """Within it no file may grow beyond one byte: the system refuses to write as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def samples(file: Path) -> None:
    save_arrays(file, {"x": np.ones(9)})


WRITERS = {
    "metrics.jsonl": lambda folder, books: books.write(3, {"loss": 1.0}),
    "tensorboard": lambda folder, books: books.picture(3, "preview", np.zeros((4, 4, 3), np.uint8)),
    "history.jsonl": lambda folder, books: books.rewind(1),
    "anomalies.jsonl": lambda folder, books: append_line(folder / "anomalies.jsonl", {"step": 3}),
    "wandb.json": lambda folder, books: replace_text(folder / "wandb.json", "an identity"),
    "samples.json": lambda folder, books: Workdir(folder).write_json("samples.json", {"a": 1}),
    "samples.npz": lambda folder, books: Workdir(folder).write(
        "samples.npz", lambda file: save_arrays(file, {"x": np.ones(9)})
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_cannot_be_written_is_named(name, tmp_path):
    def write() -> None:
        with Books(tmp_path, 0) as books:
            books.write(1, {"loss": 1.0})
            with full_disk():
                WRITERS[name](tmp_path, books)

    with pytest.raises(RunError, match=rf"^{tmp_path}/{name}.*: cannot be written \(File too large\); make room there"):
        write()
    assert [row["step"] for row in read_books(tmp_path)][:1] == [1]
    assert not list(tmp_path.glob("*.partial"))


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path):
    (tmp_path / "facts.json").write_text("before")
    with pytest.raises(RunError), full_disk():
        Workdir(tmp_path).write_json("facts.json", {"after": list(range(100))})
    assert (tmp_path / "facts.json").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]


def test_a_cache_on_a_full_disk_is_told_and_the_work_goes_on(tmp_path, capsys):
    with full_disk():
        Cache(tmp_path).write_json("reference.json", {"a": 1})
        told = capsys.readouterr().err
    assert told.startswith(f"sde-jax: {tmp_path}/reference.json: cannot be written (File too large); ")
    assert not list(tmp_path.iterdir())


def test_a_place_that_was_wrong_from_the_beginning_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (
        lambda: append_line(tmp_path / "file" / "rows.jsonl", {}),
        lambda: EventFile(tmp_path / "none" / "deeper", 0, ""),
        lambda: Workdir(tmp_path / "file").write_json("a.json", {}),
    ):
        with pytest.raises(InputError, match=r"cannot be written \(.*\); choose another place"):
            write()


def test_tensorboard_reads_the_files_of_a_clock_that_was_set_back_in_their_order(tmp_path, monkeypatch):
    month = 30 * 24 * 3600
    made = []
    for moment in (2e9, 2e9 - month, 2e9 - month, 2e9 + month):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        events = EventFile(tmp_path, 0, ".0")
        events.close()
        made.append(events.path.name)
    assert made == sorted(set(made))


@pytest.mark.slow
def test_a_run_whose_disk_fills_up_ends_with_3_and_goes_on_once_there_is_room(tmp_path, sde_jax):
    often = [
        "--config.training.steps=1000000",
        "--config.training.checkpoint_every=20",
        "--config.training.log_every=1",
    ]
    command = ["train", *sde_jax.tiny, "--workdir", tmp_path]
    run = sde_jax.start(*command, *often)
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(tmp_path.glob("checkpoints/*/commit_success.txt")):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        outcome = sde_jax.finish(run, timeout=PATIENCE)
    finally:
        run.kill()
    assert outcome.code == 3, outcome
    [told] = [line for line in outcome.err.replace("\r", "\n").splitlines() if "sde-jax: " in line]
    assert f"{tmp_path}/" in told
    assert "Traceback" not in outcome.err
    saved = max(int(path.parent.name) for path in tmp_path.glob("checkpoints/*/commit_success.txt"))
    after = [f"--config.training.steps={saved + 40}", *often[1:]]
    again = sde_jax.finish(sde_jax.start(*command, *after), timeout=PATIENCE).done()
    assert f"continuing from step {saved}" in again.out


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_ends_a_run_with_3(tmp_path, sde_jax):
    limit = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000)); sys.argv[0] = 'x'; "
    )
    program = limit + "runpy.run_module('sde_jax', run_name='__main__')"
    command = ["train", *sde_jax.tiny, "--config.network.width=256", "--config.training.steps=100000"]
    run = subprocess.run(
        [sys.executable, "-c", program, *command, "--workdir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 3, run
    assert f"{tmp_path}/checkpoints/4: cannot be saved" in run.stderr
    assert "Traceback" not in run.stderr


CLOCK = """
import sys, threading, time
from pathlib import Path
from sde_jax import cli

books, now, month = Path(sys.argv[-1]) / "metrics.jsonl", time.time, 31 * 24 * 3600

def set_back():
    while not books.exists() or len(books.read_text().splitlines()) < 3:
        time.sleep(0.005)
    time.time = lambda: now() - month

threading.Thread(target=set_back, daemon=True).start()
cli.main()
"""


@pytest.mark.slow
def test_a_clock_that_is_set_back_by_a_month_keeps_no_run_waiting(tmp_path, sde_jax):
    more = ["--config.training.steps=300", "--config.training.log_every=1", "--config.training.checkpoint_every=100"]
    command = [sys.executable, "-c", CLOCK, "train", *sde_jax.tiny, *more, "--workdir", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run
    assert [row["step"] for row in read_books(tmp_path)] == list(range(1, 301))
    assert (tmp_path / "checkpoints" / "300" / "commit_success.txt").exists()
