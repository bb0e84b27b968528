"""Commands that are killed leave a whole directory or none; the same command then does what it was asked."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import jax
import numpy as np
import pytest

from sde_jax import placing, publishing
from sde_jax.commands.workdir import Workdir, load
from sde_jax.publishing import directory as published
from sde_jax.training import Checkpoints


class KilledError(BaseException):
    """The process is no more."""


@pytest.fixture
def killed(monkeypatch, sde_jax):
    """Run a command that dies in a function: nothing is cleared up, and what it had open is closed."""

    def run(owner, name: str, *command: object) -> None:
        locks, lock = [], placing.fcntl.flock

        def die(*arguments, **options):
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, die)
            patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)
            patch.setattr(placing.fcntl, "flock", lambda fd, how: (locks.append(fd), lock(fd, how))[1])
            with pytest.raises(KilledError):
                sde_jax(*command)
        for fd in locks:
            with suppress(OSError, TypeError):
                os.close(fd)

    return run


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory) -> Path:
    """A published model; not to be changed."""
    folder = tmp_path_factory.mktemp("published") / "model"
    publishing.save(folder, load(Workdir(trained)))
    return folder


@pytest.mark.parametrize("point", [(Checkpoints, "save"), (Workdir, "write_json"), (Path, "rename")])
def test_a_convert_that_was_killed_is_done_by_the_same_command_and_trains_from_its_weights(
    point, model, tmp_path, killed, sde_jax, trained
):
    run = tmp_path / "runs" / "made"
    command = ["convert", "--checkpoint", model, "--workdir", run]
    killed(*point, *command)
    assert not run.exists()  # there is nothing that `train` could take for the run
    sde_jax(*command).done()
    assert [path.name for path in run.parent.iterdir()] == ["made"]
    jax.tree.map(np.testing.assert_array_equal, load(Workdir(run)).params, load(Workdir(trained)).params)
    outcome = sde_jax("train", *sde_jax.tiny, "--config.training.steps=13", "--workdir", run).done()
    assert "continuing from step 12" in outcome.out


@pytest.mark.parametrize("point", [(Path, "rename"), (published, "written")])
def test_a_publish_that_was_killed_leaves_the_model_before_it_and_no_passing_files_for_long(
    point, model, run, tmp_path, killed, sde_jax
):
    output = shutil.copytree(model, tmp_path / "pub0")
    (run / "likelihood.json").write_text(
        json.dumps({"bits_per_dim": 2.5, "checkpoint_step": 12, "function_evaluations": 9.0})
    )
    command = ["publish", "--workdir", run, "--output", output]
    killed(*point, *command)
    assert publishing.load(output).step == 12
    assert any(path.name.startswith(".pub0.") for path in tmp_path.iterdir())
    sde_jax(*command).done()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pub0", "run"]


def test_a_convert_into_a_directory_of_other_things_is_refused_and_one_that_is_empty_or_a_link_is_filled(
    model, tmp_path, sde_jax
):
    command = ["convert", "--checkpoint", model, "--workdir"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (line,) = sde_jax(*command, tmp_path / "full").problems
    assert "holds other things (notes.txt); choose a directory that is" in line
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    sde_jax(*command, tmp_path / "link").done()
    assert (tmp_path / "empty" / "config.json").exists()
    assert (tmp_path / "link").is_symlink()


NAMES = [
    ("a[b]c", "has '[b]' in it"),
    ("a\\b", "has '\\\\' in it"),
    ("n" * 300, "a name of 300 bytes; expected at most 255"),
]


@pytest.mark.parametrize(("name", "told"), NAMES)
def test_a_name_that_cannot_hold_a_run_is_refused_before_any_work(name, told, model, tmp_path, sde_jax, averaged):
    place = tmp_path / name
    commands = [
        ["train", *sde_jax.tiny, "--workdir", place],
        ["run", *sde_jax.tiny, "--workdir", place],
        ["convert", "--checkpoint", model, "--workdir", place],
        ["average", "--workdir", averaged, "--deviation=0.07", "--output", place],
    ]
    for command in commands:
        (line,) = sde_jax(*command).problems
        assert told in line
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x\udcffy", "file/below", "n" * 250])
def test_outputs_that_cannot_be_written_are_told_before_any_work(name, run, tmp_path, sde_jax, monkeypatch):
    def worked(*arguments, **options):
        pytest.fail("the work was done")

    (tmp_path / "file").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    for module in ("sample", "likelihood", "publish", "restoration.restore", "restoration.calibrate"):
        monkeypatch.setattr(f"sde_jax.commands.{module}.load", worked)
    here, output = ["--workdir", run], ["--output", f"{tmp_path}/{name}"]
    commands = [
        ["sample", *here, *output],
        ["publish", *here, *output],
        ["restore", *here, "--task=inpaint", "--example=1", *output],
        ["calibrate", *here, "--task=inpaint", "--num_examples=2", *output],
        ["train-classifier", *here, *output],
        ["train-features", *here, *output],
        ["evaluate", *here, *output],
    ]
    for command in commands:
        problems = sde_jax(*command).problems
        assert "cannot be written" in problems[-1] or "not UTF-8" in problems[-1], problems
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_run_whose_directory_is_moved_or_removed_stops_and_makes_no_other(tmp_path, sde_jax, monkeypatch):
    run, save = tmp_path / "run", Checkpoints.save

    def moved(self, state, record):
        save(self, state, record)
        self._wait()
        if int(state.step) == 4:
            run.rename(tmp_path / "elsewhere")

    monkeypatch.setattr(Checkpoints, "save", moved)
    outcome = sde_jax("train", *sde_jax.tiny, "--workdir", run)
    assert outcome.code == 3
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("sde-jax: ")]
    assert line == (f"sde-jax: {run}: the run's directory was removed, or was moved; train where its checkpoints are")
    assert not run.exists()
    assert (tmp_path / "elsewhere" / "checkpoints" / "4").is_dir()
    monkeypatch.setattr(Checkpoints, "save", save)
    outcome = sde_jax("train", *sde_jax.tiny, "--workdir", tmp_path / "elsewhere").done()
    assert "continuing from step 4" in outcome.out
