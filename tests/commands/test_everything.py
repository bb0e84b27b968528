import json
from dataclasses import replace

import pytest

from sde_jax.experiment import Evaluation, Sampler
from sde_jax.metrics import Energy
from sde_jax.sampling import DDIM

NUMBERS = (
    "bits_per_dim",
    "bits_per_dim_standard_error",
    "baseline_bits_per_dim",
    "train_steps",
    "train_seconds",
    "samples_per_second",
    "function_evaluations",
)


def made(folder) -> dict[str, int]:
    """When each file of a run was last written, but for those that every run writes."""
    renewed = ("report.html", "results.json", "config.json")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in renewed]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def test_one_command_does_everything_once(run, sde_jax, monkeypatch):
    monkeypatch.setattr("sde_jax.commands.baseline.DRAWS", 2)
    command = ["run", *sde_jax.tiny, "--config.likelihood.batch_size=100", "--workdir", run, "--num_samples=4"]
    first = sde_jax(*command).done()
    results = json.loads((run / "results.json").read_text())
    assert results.keys() >= set(NUMBERS)
    assert results["train_steps"] == 12
    assert results["images"] == 297
    assert results["samplers"].keys() == {"pc", "ode", "fast"}
    assert results["function_evaluations"] == results["samplers"]["pc"]["function_evaluations"] == 2 * 4
    assert results["likelihood_function_evaluations"] > 1
    # The reference of a mixture on such a split is 2.58, with more draws; twelve steps of training come nowhere near.
    assert 2 < results["baseline_bits_per_dim"] < 3
    assert results["baseline_bits_per_dim"] < results["bits_per_dim"] < 9
    for name in ("samples_pc.png", "samples_ode.png", "report.html"):
        assert (run / name).is_file()
        assert name in first.out
    for told in ("bits per dimension", "Gaussian mixture", "samples/s, ode", "training steps"):
        assert told in first.out

    before = made(run)
    second = sde_jax(*command).done()
    assert made(run) == before
    assert json.loads((run / "results.json").read_text()) == results
    assert second.out.splitlines()[-10:] == first.out.splitlines()[-10:]

    (run / "samples_ode.png").unlink()
    sde_jax(*command, "--config.samplers.pc.steps=3").done()
    after = made(run)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {f"samples_{name}.{ending}" for name in ("pc", "ode") for ending in ("png", "npz", "json")}


def test_samples_and_scores_made_by_hand_do_not_stand_for_the_runs_own(run, sde_jax, monkeypatch):
    from sde_jax.commands import everything
    from sde_jax.commands.workdir import Workdir

    Workdir(run).write_json("likelihood.json", {"checkpoint_step": 12, "seed": 0, "num_examples": 2, "settings": {}})
    (run / "likelihood.npz").touch()
    asked = {"checkpoint_step": 12, "seed": 0}
    assert everything._done(Workdir(run), "likelihood", ".npz", **asked)
    assert not everything._done(Workdir(run), "likelihood", ".npz", **asked, num_examples=None)


def test_components_that_cannot_be_read_back_are_refused_before_training(tmp_path, sde_jax):
    config = tmp_path / "config.py"
    config.write_text(
        "from sde_jax.experiment import Experiment\n"
        "from sde_jax.sde import VP, path\n"
        "@path\n"
        "class Own(VP): pass\n"
        "def get_config(): return Experiment(sde=Own())\n"
    )
    (line,) = sde_jax("run", "--config", config, "--workdir", tmp_path / "run").problems
    assert line.startswith("config.sde = 'Own': no such GaussianPath; expected one of ")
    assert line.endswith("SubVP, TimeChange, Transformed, VE, VP")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_dry_run_writes_nothing(command, tmp_path, sde_jax):
    sde_jax(command, *sde_jax.tiny, "--workdir", tmp_path / "run", "--dry_run").done()
    assert not (tmp_path / "run").exists()


def test_samples_are_measured_in_the_steps_that_the_config_names_once(run, sde_jax, monkeypatch):
    from sde_jax.commands import everything
    from sde_jax.commands.workdir import Workdir

    workdir = Workdir(run)
    few = Evaluation(metrics={"energy": Energy()}, samplers=("ddim",), steps=(2, 3), num_samples=4, neighbours=0)
    record = workdir.read_record()
    experiment = replace(record.experiment, samplers={"ddim": Sampler(DDIM(), 5)}, evaluation=few)
    workdir.write_json("config.json", replace(record, experiment=experiment).to_json())
    everything._against_evaluations(workdir, experiment, 12)
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    assert [(row["sampler"], row["steps"], row["evaluations"]) for row in rows] == [("ddim", 2, 2), ("ddim", 3, 3)]
    assert (run / "evaluation_quality_energy.svg").is_file()
    monkeypatch.setattr("sde_jax.commands.evaluate.run", None)
    everything._against_evaluations(workdir, experiment, 12)
