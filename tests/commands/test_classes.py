"""Classes by name and index, through the commands."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sde_jax.commands import train
from sde_jax.commands.evaluate.results import read
from sde_jax.commands.evaluate.sample_labels import ClassCounts, class_counts, sample_labels
from sde_jax.commands.guiding import Guiding
from sde_jax.commands.held_out import held_out
from sde_jax.commands.workdir import Workdir, load
from sde_jax.data import Arrays, Splits
from sde_jax.experiment import Evaluation, Experiment
from sde_jax.metrics import Frechet, Outputs
from sde_jax.model import Record
from sde_jax.nn import MLP, ClassLabel
from sde_jax.publishing.card import Card, written

FOLDERS = [str(number) for number in range(12)]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Folders 0 to 11, whose images are as grey as their name; 20 in folder 2, and 2 in each other."""
    place = tmp_path_factory.mktemp("classes") / "images"
    for name in FOLDERS:
        (place / name).mkdir(parents=True)
        for i in range(20 if name == "2" else 2):
            Image.fromarray(np.full((4, 4), 10 * int(name), np.uint8)).save(place / name / f"{i}.png")
    return place


@pytest.fixture(scope="module")
def classes_run(images, sde_jax_tiny) -> Path:
    """A run on them, of a network that knows one class more; not to be changed."""
    from tests.conftest import invoke

    data = ["--config.data=Images", f"--config.data.path={images}", "--config.data.labels_from_folders=true"]
    label = ["--config.network.condition=ClassLabel", "--config.network.condition.classes=13"]
    few = ["--config.data.held_out_per_class=0", "--config.training.label_dropout=0.1", "--config.training.steps=2"]
    run = images.parent / "run"
    assert invoke("train", *sde_jax_tiny, *data, *label, *few, "--workdir", run) == 0
    return run


def test_a_label_draws_the_folder_of_that_name_and_says_so(classes_run, tmp_path, sde_jax):
    assert Workdir(classes_run).read_record().classes == tuple(FOLDERS)
    sde_jax("sample", "--workdir", classes_run, "--num_samples=3", "--label=2,10", "--output", tmp_path / "x").done()
    facts = json.loads((tmp_path / "x.json").read_text())
    assert (facts["labels"], facts["classes"], facts["labels_drawn"]) == ([2, 10], ["2", "10"], "each in turn")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["labels"].tolist() == [2, 10, 2]
        assert arrays["classes"].tolist() == ["2", "10", "2"]


def test_a_network_that_was_always_told_a_label_is_doubted_where_it_is_told_none(classes_run, capfd):
    record = Workdir(classes_run).read_record()
    assert record.null_token_warnings() == []
    training = replace(record.experiment.training, label_dropout=0.0)
    always = replace(record, experiment=replace(record.experiment, training=training))
    (doubt,) = held_out(always)[1]
    assert "always told a label" in doubt
    assert doubt in capfd.readouterr().err


def test_labels_of_a_run_that_was_trained_in_the_order_of_text_are_still_its_own(
    classes_run, images, tmp_path, sde_jax
):
    """Folder 10 was class 2 there; what is asked for, evaluated and trained on by name is the same folder."""
    run = shutil.copytree(classes_run, tmp_path / "run")
    record = json.loads((run / "config.json").read_text())
    record["classes"], record["contents"] = sorted(FOLDERS), None
    (run / "config.json").write_text(json.dumps(record))
    experiment = Workdir(run).read_record().experiment
    data = train._numbered(experiment, run)
    assert data.classes == tuple(sorted(FOLDERS))
    for index in (0, len(data.train) - 1):
        example = data.train[index]
        assert int(example["data"][0, 0, 0]) == 10 * int(data.classes[example["label"]])
    continued = replace(experiment, training=replace(experiment.training, steps=3))
    assert train.run(continued, run) == 0
    assert Workdir(run).read_record().classes == tuple(sorted(FOLDERS))
    turn = Guiding("10,2").guide(Workdir(run), load(Workdir(run)))[2]
    assert turn.labels == (2, 4)
    assert Guiding((10, 2)).guide(Workdir(run), load(Workdir(run)))[2].labels == (10, 2)
    flags = ["--parts=samples", "--metrics=Energy", "--num_samples=21", "--cache", tmp_path / "cache"]
    sde_jax("evaluate", "--workdir", run, *flags, "--config.evaluation.neighbours=0").done()
    counts = read(Workdir(run)).rows[0].settings["labels"]["samples"]
    assert counts["4 (2)"] == max(counts.values()) == 10


def test_a_class_beyond_the_data_is_told_in_training_and_never_drawn(classes_run, sde_jax, tmp_path):
    outcome = sde_jax("train", "--config", "configs/digits_vp.py", *sde_jax.tiny[1:], "--config.training.steps=1",
                      "--config.network.condition=ClassLabel", "--config.network.condition.classes=12",
                      "--workdir", tmp_path / "digits").done()  # fmt: skip
    assert "the network knows 12 classes, and no training example is of 10, 11:" in outcome.err
    record = Workdir(classes_run).read_record()
    assert (record.label_count, record.known_labels) == (13, 12)
    assert record.labels_at(np.arange(13)).tolist() == [*range(12), 0]
    (line,) = sde_jax("sample", "--workdir", classes_run, "--label=12").problems
    assert "--label=12: expected classes 0 to 11" in line


def test_samples_are_compared_with_data_of_the_same_classes_as_often(classes_run, tmp_path, sde_jax):
    run = shutil.copytree(classes_run, tmp_path / "run")
    flags = ["--parts=samples", "--metrics=Energy", "--num_samples=42", "--cache", tmp_path / "cache"]
    outcome = sde_jax("evaluate", "--workdir", run, *flags, "--config.evaluation.neighbours=0").done()
    (row,) = read(Workdir(run)).rows
    assert row.labels == "as often as in train"
    assert row.settings["labels"] == {
        "law": "as often as in train",
        "samples": {name: 20 if name == "2" else 2 for name in FOLDERS},
    }
    assert "labels of samples: as often as in train: 0: 2, 1: 2, 2: 20" in outcome.out
    sde_jax("evaluate", "--workdir", run, *flags, "--config.evaluation.neighbours=0",
            "--config.evaluation.uniform_labels=true").done()  # fmt: skip
    (row,) = read(Workdir(run)).rows
    assert (row.labels, row.settings["labels"]["samples"]["2"]) == ("each class in turn", 4)
    assert "labels" in (run / "evaluation.csv").read_text().splitlines()[0]


def conditional(uniform: bool = False, count: int = 20) -> Record:
    network = MLP(condition=ClassLabel(3))
    return Record(Experiment(network=network, evaluation=Evaluation(num_samples=count, uniform_labels=uniform)), (2,))


def labelled(labels) -> Arrays:
    return Arrays(np.zeros((len(labels), 2), np.float32), np.array(labels))


def test_labels_are_counted_where_there_are_any_and_doubts_are_told():
    train, bare = labelled([0] * 9 + [1]), labelled([-1, -1])
    splits = Splits(train, bare, (2,), None)
    found = sample_labels(conditional(), class_counts(splits, "held_out", bare, 3))
    assert (found.law, np.bincount(found.labels).tolist()) == ("as often as in train", [18, 2])
    assert found.warnings == ("no example in train is of class 2, and no sample is",)
    assert found.at(np.array([20, 21])).tolist() == found.labels[:2].tolist()
    asked = sample_labels(conditional(uniform=True), class_counts(splits, "train", train, 3))
    assert (asked.law, np.bincount(asked.labels).tolist()) == ("each class in turn", [7, 7, 6])
    assert asked.warnings == ("no example in train is of class 2, and samples are",)
    for unknown in (
        ClassCounts(),
        class_counts(Splits(bare, bare, (2,), None), "train", bare, 3),
        ClassCounts("file", [1, 2]),
    ):
        assert "every class was drawn as often" in sample_labels(conditional(), unknown).warnings[0]
    some = class_counts(splits, "train", labelled([0, 1, 2, -1]), 3)
    assert "1 examples in train have no label" in sample_labels(conditional(), some).warnings[0]
    plain = sample_labels(Record(Experiment(evaluation=Evaluation(num_samples=2)), (2,)), ClassCounts())
    assert (plain.labels.tolist(), plain.facts, plain.warnings) == ([-1, -1], {}, ())


def test_a_right_model_of_unequal_classes_is_at_a_distance_of_0_and_in_turn_of_3_2():
    """Class 0 is at 0 and class 1 at 4, 90% and 10% of the data: mean 0.4, variance 1.44, and in turn 2 and 4."""
    place = np.array([0.0, 4.0, 0.0], np.float32)
    data = labelled([0] * 900 + [1] * 100)
    found = class_counts(Splits(data, data, (2,), None), "train", data, 3)
    metric = Frechet()

    def distance(labels) -> float:
        drawn = [np.asarray(place[k], np.float32)[:, None] for k in (labels, data.labels)]
        states = [metric.update(metric.init(), Outputs(x, None, np.arange(len(x)))) for x in drawn]
        return metric.result(*states).value

    assert distance(sample_labels(conditional(count=1000), found).labels) == pytest.approx(0, abs=1e-6)
    in_turn = np.arange(1000) % 2
    assert distance(in_turn) == pytest.approx((2 - 0.4) ** 2 + (2 - 1.2) ** 2, rel=5e-3)


def test_a_references_file_says_how_often_its_classes_occur(classes_run, tmp_path, sde_jax):
    run, file = shutil.copytree(classes_run, tmp_path / "run"), tmp_path / "reference.npz"
    flags = ["--parts=samples", "--metrics=Frechet", "--num_samples=21", "--config.evaluation.neighbours=0"]
    flags += ["--cache", tmp_path / "cache", "--workdir", run]
    sde_jax("evaluate", *flags, "--write_reference", file).done()
    sde_jax("evaluate", *flags, "--config.data.path=/nowhere", "--reference", file).done()
    (row,) = read(Workdir(run)).rows
    assert row.labels == "as often as in reference.npz"
    assert row.settings["labels"]["samples"] == {name: 10 if name == "2" else 1 for name in FOLDERS}


def test_a_models_card_and_a_report_name_its_classes(classes_run, tmp_path, sde_jax):
    card = written(Card(), load(Workdir(classes_run)))
    assert "- 10: 10\n- 11: 11\n" in card
    run = shutil.copytree(classes_run, tmp_path / "run")
    sde_jax("sample", "--workdir", run, "--num_samples=2").done()
    sde_jax("report", "--workdir", run).done()
    page = (run / "report.html").read_text()
    assert "classes in turn 0, 1" in page
