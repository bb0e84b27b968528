import json
import signal

import numpy as np
import pytest

from sde_jax.features import Trained


def test_the_digits_are_told_apart_and_the_features_can_be_opened(sde_jax, tmp_path):
    config, output = sde_jax.tiny[0], tmp_path / "features"
    shown = sde_jax("train-features", config, "--output", output, "--steps", 150, "--features", 32, "--json").done()
    facts = json.loads(shown.out)
    assert facts["held_out_accuracy"] > 0.9
    assert facts["note"] == "not comparable with published FIDs"
    assert (facts["classes"], facts["training_examples"], facts["held_out_examples"]) == (10, 1500, 297)
    assert facts["sha256"][:16] in Trained(str(output)).open((8, 8, 1), 17).name
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_a_runs_data_are_those_of_its_config(sde_jax, trained, tmp_path):
    digests = []
    for given in ([sde_jax.tiny[0]], ["--workdir", trained]):
        output = tmp_path / str(len(digests))
        shown = sde_jax("train-features", *given, "--output", output, "--steps", 2, "--json").done()
        digests.append(json.loads(shown.out)["sha256"])
    assert digests[0] == digests[1]


def test_what_cannot_be_used_is_told_in_a_line(sde_jax, trained, tmp_path):
    (tmp_path / "notes.txt").touch()
    config = sde_jax.tiny[0]
    assert "holds other things (notes.txt)" in sde_jax("train-features", config, "--output", tmp_path).problems[0]
    problems = sde_jax("train-features", config, "--workdir", trained, "--output", tmp_path / "a").problems
    assert "not allowed with" in problems[0]
    assert "one of the arguments" in sde_jax("train-features", "--output", tmp_path / "a").problems[0]


def test_data_without_labels_are_refused(sde_jax, tmp_path):
    np.save(tmp_path / "numbers.npy", np.eye(4))
    data = ["--config.data=ArrayFile", f"--config.data.path={tmp_path / 'numbers.npy'}"]
    problems = sde_jax("train-features", sde_jax.tiny[0], *data, "--output", tmp_path / "a").problems
    assert "4 of 4 training examples have no label" in problems[0]
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_signal_leaves_nothing_behind(sde_jax, tmp_path):
    process = sde_jax.start("train-features", sde_jax.tiny[0], "--output", tmp_path / "a", "--steps", 10**6)
    while "step" not in process.stderr.readline():
        pass  # it has not begun to train
    process.send_signal(signal.SIGTERM)
    assert sde_jax.finish(process).code == 75
    assert not list(tmp_path.iterdir())
