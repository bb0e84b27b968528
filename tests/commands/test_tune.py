"""`sde-jax tune`: tuned samplers are samplers of their run."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import publishing
from sde_jax.commands.tuned import Found, read
from sde_jax.commands.workdir import Workdir, load
from tests.conftest import invoke

SMALL = ("--draws", 16, "--fine_steps", 20, "--batch_size", 16)


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory) -> Path:
    """A run with a sampler of four evaluations tuned for it; not to be changed."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("tuned") / "run")
    assert invoke("tune", "--workdir", folder, "--nfe", "4", *SMALL) == 0
    return folder


@pytest.fixture
def tuned(made, tmp_path) -> Path:
    """A copy of it that may be changed."""
    return shutil.copytree(made, tmp_path / "run")


def found_in(folder: Path) -> Found:
    found = read(Workdir(folder), "tuned4")
    assert found is not None
    return found


def test_samples_of_a_tuned_sampler_are_those_made_by_hand(sde_jax, tuned):
    found = sde_jax("sample", "--workdir", tuned, "--sampler", "tuned4", "--num_samples", 3, "--json").done()
    facts = json.loads(found.out)
    assert facts["function_evaluations"] == 4
    assert "warnings" not in facts
    model, solver = load(Workdir(tuned)), found_in(tuned).tuning.solver
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(np.arange(3))
    by_hand = sj.sample(keys, solver, model.sde, model.denoise, solver.grid, model.record.shape).x
    np.testing.assert_allclose(np.load(tuned / "samples_tuned4.npz")["x"], by_hand, rtol=1e-4, atol=1e-4)


def test_the_file_says_what_it_was_tuned_on(tuned):
    found = found_in(tuned)
    assert found.checkpoint_step == load(Workdir(tuned)).step
    assert (found.effort.fitted, found.effort.watched, found.effort.tested) == (16, 8, 32)
    assert found.tuning.ratio == pytest.approx(found.tuning.tested / found.tuning.published)
    assert "config.json" in {path.name for path in tuned.iterdir()}
    assert "tuned4" not in (tuned / "config.json").read_text()


def test_evaluate_report_and_publish_know_it(sde_jax, tuned, tmp_path):
    asked = ("--parts", "samples", "--sampler", "tuned4", "--num_samples", 8, "--metrics", "energy", "--json")
    rows = json.loads(sde_jax("evaluate", "--workdir", tuned, *asked).done().out)["rows"]
    assert {(row["sampler"], row["steps"], row["evaluations"]) for row in rows} == {("tuned4", 4, 4.0)}
    assert sde_jax("sample", "--workdir", tuned, "--sampler", "tuned4", "--num_samples", 2).done()
    assert sde_jax("report", "--workdir", tuned).done()
    assert "tuned4" in (tuned / "report.html").read_text()
    assert sde_jax("publish", "--workdir", tuned, "--output", tmp_path / "published").done()
    model = publishing.load(tmp_path / "published")
    assert model.samplers["tuned4"] == found_in(tuned).sampler


def test_other_steps_and_names_are_refused(sde_jax, tuned):
    steps = sde_jax("sample", "--workdir", tuned, "--sampler", "tuned4", "--steps", 7)
    assert steps.code == 2
    assert "a listed grid of 4 steps" in steps.err
    name = sde_jax("sample", "--workdir", tuned, "--sampler", "tuned5")
    assert name.code == 2
    assert "tuned tuned4" in name.err
    taken = sde_jax("tune", "--workdir", tuned, "--nfe", 4, "--name", "../x")
    assert taken.code == 2
    assert "--name" in taken.err


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:100], "damaged"),
        (lambda text: text.replace('"checkpoint_step"', '"checkpoint_stop"'), "not as `tune` left it"),
        (lambda text: text.replace('"times": [\n        1.0,', '"times": [\n        0.0,'), "not as `tune` left it"),
        (lambda text: text.replace('"beta_max": 20.0', '"beta_max": 19.0'), "tune this run"),
        (lambda text: "[]", "not as `tune` left it"),
    ],
    ids=["cut", "renamed", "rising", "foreign", "list"],
)
def test_a_damaged_or_foreign_file_is_one_line(sde_jax, tuned, damage, said):
    path = tuned / "samplers" / "tuned4.json"
    changed = damage(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    outcome = sde_jax("sample", "--workdir", tuned, "--sampler", "tuned4", "--num_samples", 1)
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert sde_jax("sample", "--workdir", tuned, "--sampler", "ddim", "--steps", 2, "--num_samples", 1).done()


def test_a_checkpoint_that_moved_on_is_told(sde_jax, tuned):
    path = tuned / "samplers" / "tuned4.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "checkpoint_step": found["checkpoint_step"] - 1}))
    asked = ("--workdir", tuned, "--sampler", "tuned4", "--num_samples", 2, "--json")
    facts = json.loads(sde_jax("sample", *asked).done().out)
    assert facts["warnings"][0].startswith(f"tuned4 was tuned at step {found['checkpoint_step'] - 1}")
