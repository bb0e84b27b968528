import json
import signal

import numpy as np
import pytest

from sde_jax.classifiers import NoisyClassifier


def test_digits_are_told_apart_through_noise_and_the_numbers_are_reported(sde_jax, tmp_path):
    output = tmp_path / "classifier"
    given = ["--output", output, "--steps", 150, "--width", 32, "--json"]
    facts = json.loads(sde_jax("train-classifier", sde_jax.tiny[0], *given).done().out)
    shares = list(facts["held_out_accuracy"].values())
    assert min(shares[:5]) > 0.85
    assert max(shares[-2:]) < 0.3  # noise alone
    assert (facts["classifier"], facts["classes"], facts["held_out_examples"]) == ("NoisePerceptron", 10, 297)
    assert NoisyClassifier.open(output).sha256 == facts["sha256"]
    assert [path.name for path in tmp_path.iterdir()] == ["classifier"]


@pytest.mark.slow
def test_a_runs_classifier_is_that_of_its_config(sde_jax, trained, tmp_path):
    digests = []
    for given in ([sde_jax.tiny[0]], ["--workdir", trained]):
        output = tmp_path / str(len(digests))
        shown = sde_jax("train-classifier", *given, "--output", output, "--steps", 2, "--width", 4, "--json").done()
        digests.append(json.loads(shown.out)["sha256"])
    assert digests[0] == digests[1]


def test_what_cannot_be_used_is_told_in_a_line(sde_jax, tmp_path):
    (tmp_path / "notes.txt").touch()
    config = sde_jax.tiny[0]
    assert "holds other things (notes.txt)" in sde_jax("train-classifier", config, "--output", tmp_path).problems[0]
    assert "one of the arguments" in sde_jax("train-classifier", "--output", tmp_path / "a").problems[0]
    np.save(tmp_path / "numbers.npy", np.eye(4))
    data = ["--config.data=ArrayFile", f"--config.data.path={tmp_path / 'numbers.npy'}"]
    problems = sde_jax("train-classifier", config, *data, "--output", tmp_path / "a").problems
    assert "4 of 4 training examples have no label" in problems[0]
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_signal_leaves_nothing_behind(sde_jax, tmp_path):
    process = sde_jax.start("train-classifier", sde_jax.tiny[0], "--output", tmp_path / "a", "--steps", 10**6)
    while "step" not in process.stderr.readline():
        pass  # it has not begun to train
    process.send_signal(signal.SIGTERM)
    assert sde_jax.finish(process).code == 75
    assert not list(tmp_path.iterdir())
