"""SIGTERM while a run compiles, saves and draws: one step is saved, and the same command goes on from it."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from sde_jax.training import read_books, read_history
from sde_jax.training.loop import AHEAD

PATIENCE = 900
"""Seconds, on a machine that others use."""


def told(sde_jax, processes, when: Callable[[], bool]) -> list:
    """The outcomes of processes that are all sent SIGTERM as soon as something is so."""
    deadline = time.monotonic() + PATIENCE
    try:
        while not when():
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
            time.sleep(0.001)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [sde_jax.finish(process, timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.slow
def test_a_signal_while_the_step_is_compiled_saves_the_first_steps(tmp_path, sde_jax, state_of):
    slow_to_compile = ["--config.network.depth=12", "--config.training.log_every=1"]
    run = sde_jax.start(
        *("train", *sde_jax.tiny, *slow_to_compile, "--workdir", tmp_path), JAX_ENABLE_COMPILATION_CACHE="false"
    )
    # A run that has opened its books has nothing before it but the first step.
    (outcome,) = told(sde_jax, [run], lambda: bool(read_history(tmp_path)))
    assert outcome.code == 75, outcome.err
    saved = int(state_of(tmp_path).step)
    assert 1 <= saved <= AHEAD + 1
    assert f"SIGTERM: saved step {saved}; run the same command to continue" in outcome.out
    assert read_history(tmp_path)[-1]["share_compile"] > read_history(tmp_path)[-1]["share_step"]


@pytest.mark.slow
def test_a_signal_while_a_preview_is_drawn_saves_the_step_it_is_of_or_one_soon_after(tmp_path, sde_jax, state_of):
    often = ["--config.training.steps=10000", "--config.training.log_every=3", "--config.training.preview.every=3"]
    long = ["--config.training.preview.sampler=pc", "--config.samplers.pc.steps=5000"]
    run = sde_jax.start("train", *sde_jax.tiny, *often, *long, "--workdir", tmp_path)
    # The row of a step is written before its preview is drawn.
    (outcome,) = told(sde_jax, [run], lambda: bool(read_books(tmp_path)))
    assert outcome.code == 75, outcome.err
    assert 3 <= int(state_of(tmp_path).step) <= 4 + AHEAD
    assert (tmp_path / "previews" / "step_3.png").exists()


def saving(run: Path) -> bool:
    """Whether a save is going on in a run's directory that has a checkpoint."""
    steps = [path for path in (run / "checkpoints").glob("*") if path.name.isdecimal()]
    committed = [path for path in steps if (path / "commit_success.txt").exists()]
    return bool(committed) and len(committed) < len(steps)


@pytest.mark.slow
def test_two_processes_told_in_a_save_end_at_one_step_and_one_process_goes_on_to_the_same_bits(
    tmp_path, sde_jax, state_of
):
    long = ["--config.training.steps=60", "--config.training.checkpoint_every=7", "--config.training.log_every=1"]
    command = ["train", *sde_jax.tiny, *long, "--workdir"]

    def two(run: Path) -> list:
        with socket.create_server(("localhost", 0)) as door:
            port = door.getsockname()[1]
        job = ["--coordinator", f"localhost:{port}", "--process_count", 2]
        return [sde_jax.start(*command, run, *job, "--process_index", i) for i in range(2)]

    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    outcomes = told(sde_jax, two(stopped), lambda: saving(stopped))
    assert [outcome.code for outcome in outcomes] == [75, 75], outcomes
    saved = int(state_of(stopped).step)
    assert 7 < saved < 60
    assert f"saved step {saved}; run the same command" in outcomes[0].out
    devices = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    resumed = sde_jax.finish(sde_jax.start(*command, stopped, XLA_FLAGS=devices), timeout=PATIENCE).done()
    assert f"continuing from step {saved}" in resumed.out
    for process in two(whole):
        sde_jax.finish(process, timeout=PATIENCE).done()
    rows = [[(row["step"], row["loss"]) for row in read_books(run)] for run in (stopped, whole)]
    assert rows[0] == rows[1]
    assert [step for step, _ in rows[0]] == list(range(1, 61))
    leaves = zip(*(jax.tree.leaves(state_of(run)) for run in (stopped, whole)), strict=True)
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in leaves)
