"""A run whose pairs are coupled has a velocity and no score: what asks for one is refused before work starts."""

import json
from pathlib import Path

import numpy as np
import pytest

from sde_jax.commands.workdir import Workdir, load
from sde_jax.errors import InputError
from sde_jax.guidance import ClassifierFree
from sde_jax.prediction import Coupled, score_of
from sde_jax.publishing import Card, save

COUPLED = ["--config.objective.coupling=OptimalTransport"]
CLASSES = ["--config.network.condition=ClassLabel", "--config.network.condition.classes=10"]


@pytest.fixture(scope="module")
def coupled(sde_jax_tiny, tmp_path_factory) -> Path:
    """A run with pairs by optimal transport, told the digit, or nothing; not to be changed."""
    from tests.conftest import invoke

    folder = tmp_path_factory.mktemp("runs") / "coupled"
    settings = [*COUPLED, *CLASSES, "--config.training.label_dropout=0.5", "--workdir", folder]
    assert invoke("train", *sde_jax_tiny, *settings) == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sample", "--sampler=pc", "--num_samples=2"], "--sampler=pc"),
        (["sample", "--sampler=ode", "--num_samples=2", "--guidance=2"], "--guidance"),
        (["evaluate", "--parts=samples"], "--sampler=pc"),
        (["evaluate", "--parts=likelihood", "--config.likelihood.elbo_strata=4"], "config.likelihood.elbo_strata = 4"),
        (["restore", "--task=inpaint", "--example=0"], "--task=inpaint"),
        (["calibrate", "--task=inpaint", "--sampler=ode"], "--task=inpaint"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_commands_that_ask_for_the_score_are_refused_by_name(arguments, named, coupled, sde_jax, contents):
    before = contents(coupled)
    outcome = sde_jax(arguments[0], "--workdir", coupled, *arguments[1:])
    assert outcome.code == 2
    assert f"{named}: asks for the score" in outcome.err
    assert "objective.coupling = OptimalTransport has none" in outcome.err
    assert contents(coupled) == before


def test_the_flow_of_coupled_pairs_is_sampled_class_by_class(coupled, sde_jax, tmp_path):
    flags = ["--sampler=ode", "--label=3", "--num_samples=2", "--output", tmp_path / "x"]
    sde_jax("sample", "--workdir", coupled, *flags).done()
    assert json.loads((tmp_path / "x.json").read_text())["labels"] == [3]


def test_a_model_of_coupled_pairs_carries_it(coupled, tmp_path):
    model = load(Workdir(coupled))
    assert isinstance(model.denoise, Coupled)
    assert list(model.usable_samplers) == ["ode"]
    with pytest.raises(InputError, match="score_of: asks for the score"):
        score_of(model.denoise, model.sde)
    keys = np.zeros((2, 2), np.uint32)
    with pytest.raises(InputError, match="guidance by ClassifierFree: asks for the score"):
        model.sample(keys, model.samplers["ode"], guide=ClassifierFree(2.0))
    with pytest.raises(InputError, match="PredictorCorrector, which draws noise: asks for the score"):
        model.sample(keys, model.samplers["pc"])
    save(tmp_path / "published", model, Card())
    card = (tmp_path / "published" / "README.md").read_text()
    assert 'model.samplers["ode"]' in card
    assert "the velocity of pairs by OptimalTransport" in card


def test_a_whole_run_or_a_preview_that_would_ask_for_the_score_is_refused_before_training(tmp_path, sde_jax):
    outcome = sde_jax("run", *sde_jax.tiny, *COUPLED, "--workdir", tmp_path / "run")
    assert outcome.code == 2
    assert "--sampler=pc: asks for the score" in outcome.err
    previews = ["--config.training.preview.every=50", "--config.training.preview.sampler=pc"]
    outcome = sde_jax("train", *sde_jax.tiny, *COUPLED, *previews, "--workdir", tmp_path / "run")
    assert outcome.code == 2
    assert "--sampler=pc: asks for the score" in outcome.err
    assert not (tmp_path / "run").exists()
