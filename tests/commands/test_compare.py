import json
import re
import shutil

import numpy as np
import pytest

from sde_jax.commands.outcome import Outcome
from sde_jax.commands.report import contents
from sde_jax.commands.workdir import Workdir

FIVE = np.array([3.0, 3.5, 4.0, 4.5, 5.0])


@pytest.fixture
def scored(run):
    """Two runs of the same data that differ in their scores and a setting."""
    other = shutil.copytree(run, run.parent / "other")
    for folder, bits in ((run, FIVE), (other, FIVE[:4] - [0.1, 0.2, 0.1, 0.2])):
        np.savez(folder / "likelihood.npz", bits_per_dim=bits, log_snr=[0.0, 1.0], noise_level_loss=[1.0, 1.0])
        facts = {"bits_per_dim": bits.mean(), "function_evaluations": 9.0, "checkpoint_step": 12, "passes": 1}
        (folder / "likelihood.json").write_text(json.dumps(facts))
    change(other, lambda data: data["experiment"].update(seed=7))
    return run, other


def change(folder, edit):
    data = json.loads((folder / "config.json").read_text())
    edit(data)
    (folder / "config.json").write_text(json.dumps(data))


def cells(page):
    return re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", page)


def test_runs_are_compared_on_one_page(scored, tmp_path, sde_jax):
    page = tmp_path / "pages" / "both.html"
    outcome = sde_jax("compare", *scored, "--output", page).done()
    assert outcome.out.strip() == str(page)
    text = page.read_text()
    assert "\N{MINUS SIGN}0.150 ± 0.029, paired over 4 examples" in cells(text)
    found = cells(text)
    assert found[found.index("seed") :][:3] == ["seed", "0", "7"]
    assert "Loss against training step: run from" in text
    assert "The data of these runs differ" not in text


def test_runs_of_other_data_are_compared_and_that_is_said(scored, sde_jax, tmp_path):
    change(scored[1], lambda data: data["experiment"]["data"].update(type="Images", path="elsewhere"))
    sde_jax("compare", *scored, "--output", tmp_path / "a.html").done()
    text = (tmp_path / "a.html").read_text()
    assert "The data of these runs differ" in text
    assert "paired over" not in text


def test_runs_of_one_name_are_told_apart_by_their_folders(scored, tmp_path, sde_jax):
    there = shutil.copytree(scored[1], tmp_path / "elsewhere" / scored[0].name)
    sde_jax("compare", scored[0], there, "--output", tmp_path / "a.html").done()
    assert f"elsewhere/{scored[0].name}" in cells((tmp_path / "a.html").read_text())


def test_every_problem_of_what_is_given_is_told(run, tmp_path, sde_jax):
    (line,) = sde_jax("compare", run).problems
    assert "expected two or more" in line
    first, second = sde_jax("compare", run, tmp_path / "none", run).problems
    assert first == f"{run}: given twice"
    assert second.startswith(f"{tmp_path / 'none'}: no run there")


def test_samples_come_from_the_newest_evaluation_where_none_were_drawn(run):
    images = np.random.default_rng(0).integers(0, 17, (2, 3, 8, 8, 1), np.uint8)
    files = []
    for step in (8, 12):
        np.savez(run / f"{step}.npz", samples=images[step // 12])
        files.append({"path": f"{step}.npz", "part": "samples", "checkpoint_step": step, "sampler": "pc", "steps": 4})
    (run / "evaluation.json").write_text(json.dumps({"format": 1, "data": {}, "rows": [], "files": files}))
    outcome = Outcome(Workdir(run))
    ((name, drawn),) = outcome.samples.items()
    assert name == "pc, 4 steps"
    np.testing.assert_array_equal(drawn["samples"], images[1])
    np.testing.assert_allclose(outcome.grids[name], images[1] * (255 / 16), atol=0.5)
    assert outcome.neighbours is None
    assert contents(outcome).trajectory is None


def test_bits_come_from_the_newest_evaluation_where_likelihood_was_not_run(run):
    np.savez(run / "scores.npz", bits_per_dim=FIVE, index=np.arange(5) + 3)
    file = {"path": "scores.npz", "part": "likelihood", "checkpoint_step": 12}
    found = {"format": 1, "data": {}, "rows": [], "files": [file]}
    (run / "evaluation.json").write_text(json.dumps(found))
    bits, index = Outcome(Workdir(run)).bits
    np.testing.assert_array_equal(bits, FIVE)
    np.testing.assert_array_equal(index, np.arange(5) + 3)
