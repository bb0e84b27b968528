import json
import os
import shutil

import pytest

from sde_jax.commands.workdir import Workdir
from sde_jax.likelihood import Quantization

READERS = ["sample", "likelihood", "report"]


def damaged(run, **changes) -> None:
    """Change entries of a run's config.json, given by their dotted path."""
    data = json.loads((run / "config.json").read_text())
    for path, value in changes.items():
        node = data
        *parents, leaf = path.split("__")
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    (run / "config.json").write_text(json.dumps(data))


@pytest.mark.parametrize("command", READERS)
def test_without_a_run_there_is_nothing_to_read(command, tmp_path, sde_jax):
    (line,) = sde_jax(command, "--workdir", tmp_path / "nowhere").problems
    assert line == f"{tmp_path / 'nowhere'}: no run there (no config.json); train first, or check --workdir"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", ["sample", "likelihood"])
def test_before_the_first_checkpoint_there_is_nothing_to_use(command, run, sde_jax):
    shutil.rmtree(run / "checkpoints")
    assert sde_jax(command, "--workdir", run).problems == [f"{run}: no checkpoint there yet; train first"]
    (run / "checkpoints").mkdir()
    (line,) = sde_jax(command, "--workdir", run).problems
    assert line == f"{run / 'checkpoints'}: no checkpoint there yet; train first"


def test_a_run_from_before_there_were_ranges_is_one_of_minus_one_to_one(run, sde_jax):
    data = json.loads((run / "config.json").read_text())
    assert data["experiment"].pop("data_range") == [-1.0, 1.0]
    (run / "config.json").write_text(json.dumps(data))
    assert Workdir(run).read_record().encoding == Quantization(17)
    outcome = sde_jax("train", *sde_jax.tiny, "--config.training.steps=13", "--workdir", run).done()
    assert "continuing from step 12" in outcome.out


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_directory_of_another_config_is_refused_and_left_as_it_is(command, run, sde_jax, contents):
    before = contents(run)
    (line,) = sde_jax(command, *sde_jax.tiny, "--config.network.width=32", "--workdir", run).problems
    assert line == (
        f"{run}: holds a run of another config (experiment.network.width = 16 there, 32 here); "
        "choose another --workdir, or remove this one"
    )
    assert contents(run) == before


def test_a_directory_that_cannot_be_written_is_refused(tmp_path, sde_jax):
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        (line,) = sde_jax("train", *sde_jax.tiny, "--workdir", place).problems
        assert line.startswith(f"{place}: cannot be written (")
        assert line.endswith("choose another --workdir")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_is_refused(tmp_path, sde_jax):
    tmp_path.chmod(0o500)
    (line,) = sde_jax("train", *sde_jax.tiny, "--workdir", tmp_path).problems
    assert "Permission denied" in line


def test_an_output_that_cannot_be_written_is_refused(run, sde_jax):
    before = set(run.iterdir())
    for command in (["sample", "--num_samples=2"], ["report"]):
        (line,) = sde_jax(*command, "--workdir", run, "--output", run / "config.json" / "x").problems
        assert "cannot be written" in line
    assert set(run.iterdir()) == before


@pytest.mark.parametrize("text", ['{"exp', "", "[]", "3", "null", "{}", '{"experiment": {}}', "\x00", "[" * 100_000])
@pytest.mark.parametrize("command", [*READERS, "train"])
def test_a_damaged_config_json_is_named_and_left_as_it_is(command, text, run, sde_jax, contents):
    (run / "config.json").write_text(text)
    before = contents(run)
    arguments = sde_jax.tiny if command == "train" else []
    (line,) = sde_jax(command, *arguments, "--workdir", run).problems
    assert line.startswith(f"{run / 'config.json'}: ")
    assert contents(run) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"experiment__sde": {"type": "os.system", "command": "touch executed"}}, "'os.system': no such GaussianPath"),
        ({"experiment__sde": {"type": "subprocess.Popen", "args": ["touch", "executed"]}}, "no such GaussianPath"),
        ({"experiment__network": {"type": "builtins.exec"}}, "'builtins.exec': no such Architecture"),
        ({"experiment": 3}, "config.experiment = 3: expected the name or the fields of Experiment"),
        ({"experiment__network__width": 7}, "expected an even width"),
        ({"experiment__network__width": "x"}, "config.experiment.network.width = 'x': expected int"),
        ({"experiment__surprise": 1}, "config.experiment.surprise: no such setting"),
        ({"shape": [0, 8, 1]}, "expected one number or more an example"),
        ({"shape": ["a"]}, "config.shape = ['a']: expected tuple[int, ...]"),
        ({"levels": 1}, "2 to 65536 levels or none"),
        ({"levels": "many"}, "config.levels = 'many': expected"),
    ],
)
def test_a_config_json_that_says_something_else_is_refused_and_nothing_in_it_is_run(
    changes, told, run, tmp_path, monkeypatch, sde_jax
):
    monkeypatch.chdir(tmp_path)
    damaged(run, **changes)
    assert told in "\n".join(sde_jax("sample", "--workdir", run).problems)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_config_json_that_does_not_belong_to_the_checkpoint_is_refused(run, sde_jax):
    damaged(run, shape=[16, 16, 1])
    first, *lines = sde_jax("sample", "--workdir", run).problems
    assert first.endswith(
        "holds another network; choose another --workdir, or restore the config.json that belongs to it"
    )
    assert "  averages/entry/kernel: float32 [64, 16] there, float32 [256, 16] expected" in lines


@pytest.mark.parametrize(("command", "place"), [("sample", "left there"), ("train", "set aside as damaged-12")])
def test_with_a_damaged_newest_checkpoint_the_one_before_is_used_and_a_line_says_so(command, place, run, sde_jax):
    newest = run / "checkpoints" / "12"
    for path in (newest / "state" / "d").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    arguments = [*sde_jax.tiny, "--config.training.steps=14"] if command == "train" else ["--num_samples=2"]
    outcome = sde_jax(command, *arguments, "--workdir", run).done()
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("sde-jax: ")]
    assert line.startswith(f"sde-jax: {newest}: damaged (state/d/")
    assert line.endswith(f"; {place}, the checkpoint before it is used")
    assert (run / "checkpoints" / "damaged-12").exists() == (command == "train")
    assert "continuing from step 8" in outcome.out or "checkpoint_step              8" in outcome.out


def test_a_run_of_which_all_checkpoints_are_damaged_is_not_started_again(run, sde_jax, contents):
    for path in (run / "checkpoints").glob("*/state/d/*"):
        path.write_bytes(bytes(path.stat().st_size))
    before = contents(run / "checkpoints")
    problems = sde_jax("train", *sde_jax.tiny, "--workdir", run).problems
    assert [line.partition(" (")[0] for line in problems[:-1]] == [f"{run}/checkpoints/{n}: damaged" for n in (12, 8)]
    assert "no checkpoint can be used" in problems[-1]
    assert contents(run / "checkpoints") == before


def test_sampling_leaves_a_checkpoint_that_is_being_saved_alone(run, sde_jax):
    unfinished = run / "checkpoints" / "16" / "state"
    unfinished.mkdir(parents=True)
    sde_jax("sample", "--workdir", run, "--num_samples=2").done()
    assert unfinished.is_dir()
