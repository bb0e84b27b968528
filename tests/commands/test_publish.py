import json
from unittest import mock

import huggingface_hub
import jax
import numpy as np
import pytest

from sde_jax import publishing


def wrote(run, name: str, **facts) -> None:
    (run / name).write_text(json.dumps(facts))


def scored(run, step: int, bits: float = 2.5) -> None:
    """Leave what `likelihood` and `sample` leave, of the checkpoint at `step`."""
    wrote(run, "likelihood.json", bits_per_dim=bits, bits_per_dim_standard_error=0.25, function_evaluations=88.0,
          images=297, checkpoint_step=step)  # fmt: skip
    wrote(run, "samples_ode.json", function_evaluations=171.25, samples_per_second=9.5, checkpoint_step=step)


def test_a_run_is_published_with_its_averaged_parameters_and_its_numbers(run, tmp_path, sde_jax, state_of):
    scored(run, 12)
    outcome = sde_jax("publish", "--workdir", run, "--output", tmp_path / "model", "--license=mit").done()
    assert outcome.out == f"{tmp_path / 'model'}\n"
    model, state = publishing.load(tmp_path / "model"), state_of(run)
    assert model.step == 12
    jax.tree.map(np.testing.assert_array_equal, model.params, state.averages)
    card = (tmp_path / "model" / "README.md").read_text()
    assert 'license: "mit"' in card
    assert "# run\n" in card
    assert "| bits per dimension | 2.5 |" in card
    assert "| evaluations, likelihood | 88 |" in card
    assert "| evaluations, ode | 171.2 |" in card
    assert "samples/s" not in card
    assert "seconds" not in card


def test_numbers_of_another_checkpoint_are_left_out(run, tmp_path, sde_jax):
    scored(run, 8)
    sde_jax("publish", "--workdir", run, "--output", tmp_path / "model").done()
    card = (tmp_path / "model" / "README.md").read_text()
    assert "12 steps of" in card
    assert "Nothing was measured" in card
    assert "## Measured" not in card


def test_a_run_is_pushed_where_asked(run, tmp_path, sde_jax, monkeypatch):
    api = mock.create_autospec(huggingface_hub.HfApi)
    api.return_value.upload_folder.return_value.commit_url = "hub/someone/digits/commit/1"
    monkeypatch.setattr(huggingface_hub, "HfApi", api)
    arguments = ["publish", "--workdir", run, "--output", tmp_path / "model", "--push"]
    assert sde_jax(*arguments, "someone/digits").done().out == "hub/someone/digits/commit/1\n"
    assert api.return_value.upload_folder.call_args.kwargs["folder_path"] == tmp_path / "model"
    assert 'publishing.pull("someone/digits", "model")' in (tmp_path / "model" / "README.md").read_text()
    assert "expected user/name" in sde_jax(*arguments, "digits").problems[0]


def test_what_cannot_be_published_is_told_in_one_line(run, tmp_path, sde_jax, contents):
    before = contents(run)
    for arguments, told in (
        (["--workdir", tmp_path / "nowhere", "--output", tmp_path / "model"], "no run there"),
        (["--workdir", run, "--output", run], "holds other things (.lock, checkpoints, "),
        (["--workdir", run, "--output", tmp_path / "model", "--license=My own"], "license = 'My own'"),
    ):
        (line,) = sde_jax("publish", *arguments).problems
        assert told in line
    assert not (tmp_path / "model").exists()
    assert contents(run) == before


@pytest.mark.parametrize("command", ["sample", "likelihood", "report"])
def test_a_published_model_is_no_run_to_the_commands(command, run, tmp_path, sde_jax, contents):
    sde_jax("publish", "--workdir", run, "--output", tmp_path / "model").done()
    before = contents(tmp_path / "model")
    (line,) = sde_jax(command, "--workdir", tmp_path / "model").problems
    assert line.startswith(f"{tmp_path / 'model'}: a published model, no run; make one of it: sde-jax convert")
    (line,) = sde_jax("train", *sde_jax.tiny, "--workdir", tmp_path / "model").problems
    assert "a published model, no run" in line
    assert contents(tmp_path / "model") == before
