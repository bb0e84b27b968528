import json
import shutil
import signal
import socket

import numpy as np
import pytest

from sde_jax.training import read_books, read_history

SEVERAL = ["train", "run", "sample", "likelihood", "evaluate"]


@pytest.fixture
def two(sde_jax):
    """A command as the two processes of one job, to their ends; `second` is added for the second alone."""
    started = []

    def command(*arguments, second=()):
        with socket.create_server(("localhost", 0)) as door:
            port = door.getsockname()[1]
        job = ["--coordinator", f"localhost:{port}", "--process_count", 2, "--wait", 60]
        started.append(sde_jax.start(*arguments, *job, "--process_index", 0))
        started.append(sde_jax.start(*arguments, *job, "--process_index", 1, *second))
        return [sde_jax.finish(process) for process in started]

    yield command
    for process in started:
        process.kill()


def arrays_of(path):
    with np.load(path) as file:
        return dict(file)


def test_two_processes_draw_the_samples_of_one_and_the_first_alone_speaks(run, tmp_path, sde_jax, two):
    command = ["sample", "--workdir", run, "--num_samples", 10, "--batch_size", 4, "--json", "--output"]
    one = json.loads(sde_jax(*command, tmp_path / "one").done().out)
    first, second = (process.done() for process in two(*command, tmp_path / "two"))
    assert second.out == ""
    ours = json.loads(first.out)
    assert {name: ours[name] for name in ours if name != "samples_per_second"} == {
        name: one[name] for name in one if name != "samples_per_second"
    }
    there, here = arrays_of(tmp_path / "one.npz"), arrays_of(tmp_path / "two.npz")
    assert there.keys() == here.keys()
    np.testing.assert_allclose(here["x"], there["x"], atol=1e-5)
    assert sorted(path.name for path in tmp_path.glob("two*")) == ["two.json", "two.npz", "two.png"]


def test_processes_that_were_given_different_commands_are_both_told_which(run, contents, two):
    before = contents(run)
    for process in two("sample", "--workdir", run, "--num_samples", 4, second=["--num_samples", 8]):
        assert process.code == 2
        assert "sde-jax: process 1 of 2: --num_samples = 8, elsewhere 4" in process.err.splitlines()
    assert contents(run) == before


@pytest.mark.slow
def test_two_processes_measure_what_one_does_and_go_on_from_what_it_measured(run, tmp_path, sde_jax, two):
    flags = ["--num_examples=5", "--batch_size=4", "--cache", tmp_path / "cache", "--config.evaluation.round_size=8"]
    command = ["evaluate", "--workdir", run, *flags, "--output"]
    sde_jax(*command, tmp_path / "one", "--num_samples=10").done()
    shutil.rmtree(tmp_path / "cache")
    for file in (run / "evaluation" / "rounds").iterdir():
        file.unlink()
    first, second = (process.done() for process in two(*command, tmp_path / "two", "--num_samples=10"))
    assert (len(first.out.splitlines()) > 5, second.out) == (True, "")
    ours, theirs = (json.loads((tmp_path / f"{name}.json").read_text())["rows"] for name in ("two", "one"))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["value"] == pytest.approx(other["value"], rel=1e-4)
        assert [mine[name] for name in ("metric", "samples", "reference")] == [
            other[name] for name in ("metric", "samples", "reference")
        ]
    for process in two(*command, tmp_path / "again", "--num_samples=10"):
        process.done()
    assert json.loads((tmp_path / "again.json").read_text())["rows"] == ours


@pytest.mark.slow
def test_two_processes_keep_one_journal_and_draw_one_preview(tmp_path, sde_jax, two):
    settings = ["--config.training.mesh.fsdp=2", "--config.training.preview.every=4"]
    two("train", *sde_jax.tiny, *settings, "--workdir", tmp_path)
    assert [row["step"] for row in read_books(tmp_path)] == [2, 4, 6, 8, 10, 12]
    assert [row["event"] for row in read_history(tmp_path)] == ["start", "end"]
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == [
        "step_12.png",
        "step_4.png",
        "step_8.png",
    ]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


@pytest.mark.slow
def test_two_processes_score_as_one_does(run, sde_jax, two):
    command = ["likelihood", "--workdir", run, "--num_examples", 7]
    sde_jax(*command).done()
    there = arrays_of(run / "likelihood.npz")
    assert [process.code for process in two(*command)] == [0, 0]
    here = arrays_of(run / "likelihood.npz")
    np.testing.assert_allclose(here["bits_per_dim"], there["bits_per_dim"], atol=0.01)
    np.testing.assert_allclose(here["noise_level_loss"], there["noise_level_loss"], rtol=1e-4)


def test_sigterm_ends_sampling_at_once_with_75_and_nothing_is_written(run, contents, sde_jax):
    before = contents(run)
    process = sde_jax.start("sample", "--workdir", run, "--num_samples", 10**6)
    try:
        while "sample:" not in process.stderr.readline(100):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGTERM)
        outcome = sde_jax.finish(process, timeout=900)
    finally:
        process.kill()
    assert outcome.code == 75
    assert "SIGTERM: ended" in outcome.err
    assert contents(run) == before


@pytest.mark.parametrize("command", SEVERAL)
def test_what_is_wrong_with_the_flags_of_processes_is_told(command, sde_jax, tmp_path):
    own = ["--config", "configs/digits_vp.py"] if command in ("train", "run") else []
    for flags, problem in [
        (["--coordinator", "localhost:1"], "expected --coordinator, --process_count and --process_index together"),
        (["--distributed", "--process_count", 2], "--distributed finds the others itself"),
        (["--distributed"], "--distributed: no SLURM"),
        (["--process_index", 3, "--process_count", 3, "--coordinator", "a:1"], "--process_index=3: expected 0 to 2"),
    ]:
        assert problem in sde_jax(command, *own, "--workdir", tmp_path, *flags).problems[0]
