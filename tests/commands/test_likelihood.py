import json
import shutil

import jax
import numpy as np
import pytest

from sde_jax.commands import likelihood
from sde_jax.commands.workdir import Workdir, load
from sde_jax.data import Arrays


@pytest.fixture(scope="module")
def model(trained):
    return load(Workdir(trained))


def scored(model, count: int, batch_size: int) -> likelihood.Scores:
    changes = {"likelihood.batch_size": batch_size, "likelihood.passes": 2}
    experiment, _ = model.record.experiment.override(changes)
    record = type(model.record)(experiment, model.record.shape, model.record.levels)
    source = Arrays(np.random.default_rng(0).integers(0, 17, (4, 8, 8, 1), np.uint8))
    changed = type(model)(record, model.apply, model.params, model.step)
    return likelihood.score(changed, source, count, 3, likelihood.by_flow(changed, experiment.likelihood.tolerance))


@pytest.mark.slow
def test_an_images_score_depends_neither_on_the_batch_nor_on_how_many_are_scored(model):
    whole, split = scored(model, 4, 16), scored(model, 3, 2)
    assert whole.bits.shape == (4,)
    np.testing.assert_allclose(split.bits, whole.bits[:3], rtol=1e-4)
    np.testing.assert_array_equal(split.evaluations, whole.evaluations[:3])


def test_held_out_images_are_scored_with_a_standard_error_over_images(run, sde_jax):
    outcome = sde_jax("likelihood", "--workdir", run, "--num_examples=4", "--json").done()
    facts = json.loads(outcome.out)
    assert facts == json.loads((run / "likelihood.json").read_text())
    with np.load(run / "likelihood.npz") as arrays:
        bits = arrays["bits_per_dim"]
        assert arrays["log_snr"].shape == arrays["noise_level_loss"].shape
    assert bits.shape == (4,)
    assert facts["bits_per_dim"] == pytest.approx(bits.mean(), rel=1e-6)
    assert facts["bits_per_dim_standard_error"] == pytest.approx(bits.std(ddof=1) / 4**0.5, rel=1e-5)
    assert (facts["images"], facts["checkpoint_step"], facts["seed"]) == (4, 12, 0)
    assert 4 * (facts["function_evaluations"] - 1) % 6 == 0  # one evaluation and six a step, for each of the images
    assert facts["tolerance_examples"] == 4
    assert abs(facts["tolerance_change"]) <= facts["tolerance_change_rms"] <= facts["tolerance_change_largest"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "score", lambda *_: pytest.fail("scored before the flag was looked at"))
        assert "expected" in sde_jax("likelihood", "--workdir", run, "--num_examples=0").problems[0]


def test_another_average_is_scored_beside_the_runs_own(averaged, tmp_path, sde_jax, monkeypatch):
    run, scores = shutil.copytree(averaged, tmp_path / "run"), likelihood.Scores(*np.arange(6.0).reshape(3, 2))
    used = []
    monkeypatch.setattr(likelihood, "score", lambda model, *_: (used.append(model.params), scores)[1])
    sde_jax("likelihood", "--workdir", run, "--num_examples=2", "--average=0.1").done()
    jax.tree.map(np.testing.assert_array_equal, used[0], load(Workdir(run), "0.1").params)
    assert json.loads((run / "likelihood.0.1.json").read_text())["average"] == "0.1"
    assert (run / "likelihood.0.1.npz").exists()
    assert not (run / "likelihood.json").exists()


@pytest.mark.slow
def test_one_checkpoint_is_scored_by_the_flow_and_by_the_bound_with_the_settings_of_its_config(run, sde_jax):
    changes = ["elbo_strata=4", "solver=Bosh3", "dequantizer=TruncatedNormal", "dequantizer.scale=0.5"]
    flags = [f"--config.likelihood.{change}" for change in changes]
    sde_jax("train", *sde_jax.tiny, *flags, "--workdir", run).done()
    facts = json.loads(sde_jax("likelihood", "--workdir", run, "--num_examples=2", "--json").done().out)
    assert facts["settings"]["solver"]["type"] == "Bosh3"
    assert facts["function_evaluations"] % 3 == 1
    assert np.isfinite([facts["elbo_bits_per_dim"], facts["elbo_bits_per_dim_standard_error"]]).all()
    assert facts["elbo_bits_per_dim"] != facts["bits_per_dim"]


def test_a_solver_that_cannot_reach_its_tolerance_is_an_error_and_no_number(run, sde_jax):
    # How a run is scored may be changed after training: the same command takes it up.
    sde_jax("train", *sde_jax.tiny, "--config.likelihood.tolerance.max_steps=1", "--workdir", run).done()
    outcome = sde_jax("likelihood", "--workdir", run, "--num_examples=4")
    assert outcome.code == 3
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("sde-jax: ")]
    assert "did not reach rtol=0.05, atol=0.05 within 1 steps: loosen the tolerance or raise max_steps" in line
    assert "Traceback" not in outcome.err
    assert not list(run.glob("likelihood*"))


def test_changes_of_images_that_cancel_in_their_mean_are_told_by_their_size():
    changes = likelihood._changes(np.array([0.008, -0.008, 0.006, -0.006]))
    expected = {"tolerance_change": 0.0, "tolerance_change_rms": np.sqrt(50) / 1000, "tolerance_change_largest": 0.008}
    assert changes == pytest.approx({**expected, "tolerance_examples": 4})


def test_the_change_with_the_tolerance_is_measured_on_as_many_images_as_are_asked_for(run, sde_jax, monkeypatch):
    asked = []

    def score(model, source, total, seed, rule):
        asked.append((rule.name, total))
        return likelihood.Scores(*np.arange(3.0 * total).reshape(3, total) * (1 + 0.1 * (len(asked) - 1)))

    monkeypatch.setattr(likelihood, "score", score)
    flags = ["likelihood", "--workdir", run, "--num_examples=6", "--json"]
    facts = json.loads(sde_jax(*flags, "--tolerance_examples=3").done().out)
    assert [total for _, total in asked] == [6, 3]
    changes = {"tolerance_change": 0.1, "tolerance_change_rms": np.sqrt(0.05 / 3), "tolerance_change_largest": 0.2}
    for name, expected in {**changes, "tolerance_examples": 3}.items():
        assert facts[name] == pytest.approx(expected)
    asked.clear()
    facts = json.loads(sde_jax(*flags, "--tolerance_examples=0").done().out)
    assert [total for _, total in asked] == [6]
    assert not any(name.startswith("tolerance") for name in facts)
