import json
from pathlib import Path

import jax
import numpy as np
import pytest

from sde_jax.commands import sample
from sde_jax.commands.guiding import Guiding
from sde_jax.commands.workdir import Workdir, load
from sde_jax.errors import InputError

CLASSES = ["--config.network.condition=ClassLabel", "--config.network.condition.classes=10"]


def done(*arguments) -> None:
    from tests.conftest import invoke

    assert invoke(*arguments) == 0


@pytest.fixture(scope="module")
def told(sde_jax_tiny, tmp_path_factory) -> Path:
    """A run of a network that is told the digit, or nothing; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "told"
    done("train", *sde_jax_tiny, *CLASSES, "--config.training.label_dropout=0.5", "--workdir", folder)
    return folder


@pytest.fixture(scope="module")
def always_told(sde_jax_tiny, tmp_path_factory) -> Path:
    """A run of a network that is always told the digit; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "always"
    done("train", *sde_jax_tiny, *CLASSES, "--workdir", folder)
    return folder


@pytest.fixture(scope="module")
def classifier(trained, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classifiers") / "digits"
    done("train-classifier", "--workdir", trained, "--output", folder, "--steps", 5, "--width", 8)
    return folder


def facts_of(base: Path) -> dict:
    return json.loads(base.with_suffix(".json").read_text())


def test_labels_are_taken_in_turn_and_recorded(told, tmp_path, sde_jax):
    flags = ["--num_samples=5", "--batch_size=2", "--label=3,5", "--guidance=2", "--guidance_interval=0.1,5"]
    sde_jax("sample", "--workdir", told, *flags, "--guidance_rescale=0.5", "--output", tmp_path / "x").done()
    facts = facts_of(tmp_path / "x")
    assert facts["labels"] == [3, 5]
    assert facts["guidance"] == {"weight": 2.0, "interval": [0.1, 5.0], "rescale": 0.5}
    assert np.load(tmp_path / "x.npz")["labels"].tolist() == [3, 5, 3, 5, 3]


def test_a_network_that_hears_labels_draws_every_class_in_turn(always_told, tmp_path):
    facts = sample.run(always_told, "pc", 3, 0, output=tmp_path / "x")
    assert facts["labels"] == list(range(10))
    assert np.load(tmp_path / "x.npz")["labels"].tolist() == [0, 1, 2]


@pytest.mark.slow
def test_a_weight_of_one_draws_what_the_label_alone_does_and_others_do_not(told, tmp_path):
    for stem, asked in (
        ("label", Guiding((3,))),
        ("one", Guiding((3,), 1.0)),
        ("three", Guiding((3,), 3.0)),
        ("itself", Guiding((3,), 3.0, autoguidance=str(told))),
    ):
        sample.run(told, "pc", 2, 1, output=tmp_path / stem, guiding=asked)
    label, one, three, itself = (np.load(tmp_path / f"{s}.npz")["x"] for s in ("label", "one", "three", "itself"))
    np.testing.assert_allclose(one, label, atol=1e-4)
    np.testing.assert_allclose(itself, label, atol=1e-4)  # a model guided by itself is not
    assert np.abs(three - label).max() > 1e-3


def test_nothing_is_compiled_anew_for_another_label_weight_or_interval(told, compilations):
    model = load(Workdir(told))
    draw, keys = sample.drawer(model, "pc"), jax.random.split(jax.random.key(0), 2)
    compiled = []
    for labels, weight, interval in (([3, 3], 2.0, (0.1, 5.0)), ([5, 0], 3.5, (0.2, 4.0))):
        guide, _, _ = Guiding((), weight, interval=interval).guide(Workdir(told), model)
        before = compilations()
        draw(model.params, keys, np.array(labels, np.int32), guide)
        compiled.append(compilations() - before)
    assert compiled[0] > 0
    assert compiled[1] == 0


@pytest.mark.slow
def test_a_classifier_guides_a_network_without_classes(trained, classifier, tmp_path, sde_jax):
    flags = ["--num_samples=2", "--label=3", "--classifier", classifier, "--guidance=2"]
    sde_jax("sample", "--workdir", trained, *flags, "--output", tmp_path / "x").done()
    facts = facts_of(tmp_path / "x")
    digest = json.loads((classifier / "noise_classifier.json").read_text())["sha256"]
    assert facts["guidance"] == {"weight": 2.0, "classifier": str(classifier), "sha256": digest}
    sample.run(trained, "pc", 2, 0, output=tmp_path / "plain")
    sample.run(trained, "pc", 2, 0, output=tmp_path / "zero", guiding=Guiding((3,), 0.0, classifier))
    guided, plain, zero = (np.load(tmp_path / f"{stem}.npz")["x"] for stem in ("x", "plain", "zero"))
    np.testing.assert_allclose(zero, plain, atol=1e-4)
    assert np.abs(guided - plain).max() > 1e-3


def test_guided_samples_do_not_take_the_place_of_the_others(told, tmp_path, sde_jax):
    run = tmp_path / "run"
    run.symlink_to(told)
    sde_jax("sample", "--workdir", run, "--num_samples=1", "--label=3").done()
    assert (told / "samples_pc.guided.png").exists()
    assert not (told / "samples_pc.png").exists()


def test_guidance_by_a_null_token_that_was_never_trained_is_refused(always_told, classifier, sde_jax):
    for flags in (["--guidance=2"], ["--classifier", classifier]):
        (line,) = sde_jax("sample", "--workdir", always_told, "--label=3", *flags).problems
        assert "label_dropout = 0" in line
        assert "--config.training.label_dropout=0.1" in line
    sde_jax("sample", "--workdir", always_told, "--num_samples=1", "--guidance=2", "--autoguidance", always_told).done()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--label=3,10"], "--label=3,10: expected classes 0 to 9"),
        (["--guidance_rescale=0.5"], "--guidance_rescale: expected --guidance with it"),
        (["--autoguidance=0.1"], "--autoguidance: expected --guidance with it"),
        (["--guidance_interval=0.1,2"], "--guidance_interval: expected --guidance with it"),
        (["--guidance=2", "--autoguidance=0.1"], "--autoguidance=0.1: no run's directory, and as --average=0.1"),
        (["--guidance=nan"], "expected a number"),
        (["--guidance_interval=3,1"], "expected LOW,HIGH"),
        (["--guidance_rescale=2"], "expected a number from 0 to 1"),
        (["--label=x"], "expected an integer"),
        (["--classifier=nowhere"], "a directory that `sde-jax train-classifier --output` wrote"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(flags, said, told, sde_jax):
    (line,) = sde_jax("sample", "--workdir", told, *flags).problems
    assert said in line


def test_a_network_without_classes_has_no_labels_and_no_guidance_of_its_own(trained, classifier, told, sde_jax):
    for flag in ("--label=3", "--guidance=2"):
        (line,) = sde_jax("sample", "--workdir", trained, flag).problems
        assert "the network knows no classes; give --classifier DIR" in line
    flags = ["--classifier", classifier, "--label=10"]
    assert "0 to 9, the classifier's" in sde_jax("sample", "--workdir", trained, *flags).problems[0]
    flags = ["--classifier", classifier, "--guidance_rescale=0.5", "--guidance=2"]
    assert "expected it, or --classifier" in sde_jax("sample", "--workdir", trained, *flags).problems[0]


def test_a_classifier_of_another_path_and_a_weaker_model_of_another_are_refused(classifier, told, tmp_path, sde_jax):
    other = tmp_path / "other"
    changes = ["--config.sde=VE", "--config.training.steps=1"]
    sde_jax("train", *sde_jax.tiny, *changes, "--workdir", other).done()
    problems = sde_jax("sample", "--workdir", other, "--label=3", "--classifier", classifier).problems
    assert "sde = VP" in problems[0]
    problems = sde_jax("sample", "--workdir", told, "--guidance=2", "--autoguidance", other).problems
    assert "another path" in problems[0]


def test_a_model_without_conditions_has_no_classifier_free_guidance(trained):
    from sde_jax.guidance import ClassifierFree

    model = load(Workdir(trained))
    with pytest.raises(InputError, match="a network that is told nothing"):
        model.sample(jax.random.split(jax.random.key(0), 1), model.samplers["pc"], guide=ClassifierFree(2.0))


@pytest.mark.slow
def test_guided_digits_are_classified_as_asked_more_often_than_others(tmp_path, sde_jax):
    run, judge = tmp_path / "run", tmp_path / "judge"
    config = [f"--config={Path(__file__).parents[2] / 'configs' / 'digits_class_vp.py'}"]
    small = ["--config.network.width=128", "--config.network.depth=2", "--config.training.steps=800"]
    sde_jax("train", *config, *small, "--workdir", run).done()
    sde_jax("train-classifier", "--workdir", run, "--output", judge, "--steps=600", "--width=128").done()
    train = Workdir(run).read_record().experiment.data.open().train
    digits = np.stack([train[i]["data"].ravel() for i in range(len(train))]).astype(float)
    labels = np.array([train[i]["label"] for i in range(len(train))])

    def share(name, asked: Guiding) -> float:
        sample.run(run, "dpm", 100, 0, 100, tmp_path / name, guiding=asked)
        drawn = np.load(tmp_path / f"{name}.npz")["samples"].reshape(100, 1, -1)
        return float(np.mean(labels[np.square(drawn - digits).sum(-1).argmin(1)] == 3))

    unguided = share("none", Guiding((3,), 0.0))
    assert share("label", Guiding((3,))) > unguided + 0.4
    assert share("guided", Guiding((3,), 2.0)) > 0.9
    assert share("by_classifier", Guiding((3,), 4.0, judge)) > 0.9
    assert unguided < 0.3
