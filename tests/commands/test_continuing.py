"""A run goes on as what it is: by its config.json, by its checkpoints, and on its data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sde_jax.commands.held_out import held_out
from sde_jax.commands.workdir import Workdir

STEPS = "--config.training.steps={}"


def images(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(folder / f"{2 * i:03}.png")
    return folder


def on(folder: Path) -> list[str]:
    return ["--config.data=Images", f"--config.data.path={folder}", "--config.data.held_out_per_class=4"]


@pytest.fixture(scope="module")
def pictured(tmp_path_factory, sde_jax_tiny):
    """A run on pictures, and these; not to be changed."""
    from tests.conftest import invoke

    folder = tmp_path_factory.mktemp("pictured")
    images(folder / "data", 40)
    assert invoke("train", *sde_jax_tiny, *on(folder / "data"), STEPS.format(2), "--workdir", folder / "run") == 0
    return folder


@pytest.fixture
def copied(pictured, tmp_path) -> Path:
    folder = Path(shutil.copytree(pictured, tmp_path / "copied"))
    config = folder / "run" / "config.json"
    config.write_text(config.read_text().replace(str(pictured / "data"), str(folder / "data")))
    return folder


def test_a_run_whose_config_is_lost_goes_on_as_what_its_checkpoint_says(run, sde_jax, contents):
    (run / "config.json").unlink()
    before = contents(run / "checkpoints")
    (line,) = sde_jax("train", *sde_jax.tiny, "--config.sde=VE", STEPS.format(13), "--workdir", run).problems
    assert line.startswith(f"{run}/checkpoints/12: holds a run of another config (experiment.sde")
    assert contents(run / "checkpoints") == before
    assert not (run / "config.json").exists()
    outcome = sde_jax("train", *sde_jax.tiny, STEPS.format(13), "--workdir", run).done()
    assert "continuing from step 12" in outcome.out
    assert Workdir(run).read_record().experiment.training.steps == 13


@pytest.mark.parametrize("command", ["train", "sample", "likelihood"])
def test_a_config_of_another_run_beside_the_checkpoints_is_refused(command, run, sde_jax):
    path = run / "config.json"
    data = json.loads(path.read_text())
    data["experiment"]["sde"]["beta_max"] = 7.0
    path.write_text(json.dumps(data))
    given = [*sde_jax.tiny, "--config.sde.beta_max=7", STEPS.format(13)] if command == "train" else []
    problems = sde_jax(command, *given, "--workdir", run).problems
    assert "holds a run of another config (experiment.sde.beta_max = 20.0 there, 7.0 here)" in problems[0]


def test_data_that_were_only_moved_go_on(copied, sde_jax):
    (copied / "data").rename(copied / "elsewhere")
    command = ["train", *sde_jax.tiny, *on(copied / "elsewhere"), STEPS.format(3), "--workdir", copied / "run"]
    assert "continuing from step 2" in sde_jax(*command).done().out
    assert Workdir(copied / "run").read_record().experiment.data.path == str(copied / "elsewhere")


def test_a_picture_that_was_added_is_told_and_refused_until_accepted_and_then_stands_in_the_record(
    copied, sde_jax, capfd
):
    run, data = copied / "run", copied / "data"
    shutil.copy(data / "000.png", data / "035.png")
    command = ["train", *sde_jax.tiny, *on(data), STEPS.format(3), "--workdir", run]
    config = (run / "config.json").read_bytes()
    (line,) = sde_jax(*command).problems
    assert line == (
        f"{run}: the run's data have changed (train: 36 examples there, 37 here, the first difference among examples "
        "18 to 19); what was held out may be trained on now: put the data back, choose another --workdir, or go on "
        "with --accept_changed_data"
    )
    assert (run / "config.json").read_bytes() == config
    sde_jax(*command, "--accept_changed_data").done()
    record = Workdir(run).read_record()
    told = "step 2: train: 36 examples there, 37 here, the first difference among examples 18 to 19"
    assert record.accepted == (told,)
    command[-3] = STEPS.format(4)
    assert "continuing from step 3" in sde_jax(*command).done().out
    assert Workdir(run).read_record().accepted == (told,)
    doubt = f"the run's data were changed while it trained ({told}); some of these examples may have been trained on"
    capfd.readouterr()
    source, doubts = held_out(record)
    assert (len(source), doubts) == (4, [doubt])
    assert capfd.readouterr().err == f"sde-jax: {doubt}\n"


def test_a_picture_that_was_exchanged_for_one_of_the_same_name_is_seen(copied, sde_jax):
    run, data = copied / "run", copied / "data"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(data / "078.png")  # the last one, which is held out
    (line,) = sde_jax("train", *sde_jax.tiny, *on(data), STEPS.format(3), "--workdir", run).problems
    assert f"{run}: the run's data have changed (held_out: the first difference among examples 3 to 3)" in line
    outcome = sde_jax("restore", "--workdir", run, "--task=inpaint", "--example=9")
    assert "the held-out examples are not those of the run (the first difference among examples 3 to 3)" in outcome.err
    assert "some of these examples may have been trained on" in outcome.err
