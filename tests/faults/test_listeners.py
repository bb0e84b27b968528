"""Who listens to a command, and who stops: pipes, terminals and descriptors that are closed."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = str(Path(__file__).parents[2] / "sde_jax")
PATIENCE = 900
"""Seconds, on a machine that others use."""
PRINTING = """
import sys, types
sys.modules["sde_jax"] = package = types.ModuleType("sde_jax")  # without the rest of it, whose import takes seconds
package.__path__ = [{package!r}]
from sde_jax.cli import streams
with streams.standard():
    {first}
    print("begun", flush=True)
    for i in range(5000):
        print(i, "x" * 50)
        print(i, "y" * 50, file=sys.stderr)
    print("done", file=open(sys.argv[1], "w"))
    sys.exit(7)
"""


def printing(tmp_path, first: str = "pass", **streams) -> subprocess.Popen:
    """A program that prints much, says that it is done in a file, and exits with 7."""
    program = PRINTING.format(first=first, package=PACKAGE)
    return subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "done")], text=True, **streams)


NEVER = "streams.never_fail(sys.stdout)"


@pytest.mark.parametrize("first", ["pass", NEVER])
def test_a_command_ends_quietly_with_its_reader_and_training_does_not(tmp_path, first):
    with printing(tmp_path, first, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout.readline() == "begun\n"
        run.stdout.close()
        err = run.stderr.read()
    assert run.returncode == (7 if first == NEVER else 141)
    assert (tmp_path / "done").exists() == (first == NEVER)
    assert "Error" not in err
    assert "Exception" not in err


def test_nobody_need_read_what_goes_to_standard_error(tmp_path):
    with printing(tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        run.stderr.close()
        assert run.wait(PATIENCE) == 7


def test_a_reader_that_has_stopped_reading_does_not_hold_up_training(tmp_path):
    with printing(tmp_path, NEVER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        assert run.wait(PATIENCE) == 7
    assert (tmp_path / "done").exists()


def test_a_terminal_that_is_lost_does_not_end_training(tmp_path):
    ours, theirs = pty.openpty()
    run = printing(tmp_path, NEVER, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 5) == b"begun"
    os.close(ours)
    assert run.wait(PATIENCE) == 7
    assert (tmp_path / "done").exists()


def test_all_is_read_of_a_pipe_that_does_not_wait(tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    run = printing(tmp_path, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    with open(read) as stream:
        time.sleep(1)  # the pipe is full by now
        lines = stream.read().splitlines()
    assert run.wait(PATIENCE) == 7
    assert lines == ["begun", *(f"{i} {'x' * 50}" for i in range(5000))]


def test_standard_output_on_a_full_disk_is_named(tmp_path):
    with open("/dev/full", "w") as full:
        run = printing(tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert run.communicate(timeout=PATIENCE)[1] == (
        "sde-jax: standard output: cannot be written (No space left on device)\n"
    )
    assert run.returncode == 3


def test_no_file_takes_the_number_of_a_descriptor_that_was_closed(tmp_path):
    program = [sys.executable, "-c", PRINTING.format(first="pass", package=PACKAGE), str(tmp_path / "done")]
    run = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *program], timeout=PATIENCE)
    assert run.returncode == 7
    assert (tmp_path / "done").read_text() == "done\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_training_to_which_nobody_listens_saves_when_it_is_told_to_end(tmp_path, sde_jax, state_of, number):
    often = ["--config.training.steps=1000000", "--config.training.log_every=1"]
    run = sde_jax.start("train", *sde_jax.tiny, *often, "--workdir", tmp_path)
    run.stdout.close()
    run.stderr.close()
    books, deadline = tmp_path / "metrics.jsonl", time.monotonic() + PATIENCE
    try:
        while not books.exists() or len(books.read_text().splitlines()) < 5:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(number)
        if number == signal.SIGHUP:
            run.send_signal(number)  # as the shell and the kernel both do
        assert run.wait(PATIENCE) == 75
    finally:
        run.kill()
    assert int(state_of(tmp_path).step) >= 5


@pytest.mark.slow
def test_training_with_closed_descriptors_writes_sound_files(tmp_path, sde_jax):
    command = [sys.executable, "-m", "sde_jax", "train", *sde_jax.tiny, "--workdir", str(tmp_path)]
    run = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], timeout=PATIENCE)
    assert run.returncode == 0
    assert json.loads((tmp_path / "config.json").read_text())
    assert (tmp_path / "checkpoints" / "12" / "commit_success.txt").exists()
