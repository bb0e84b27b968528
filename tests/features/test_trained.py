import json

import jax
import numpy as np
import pytest

from sde_jax.checkpoints import read_safetensors, write_safetensors
from sde_jax.data import Scaling
from sde_jax.errors import InputError
from sde_jax.features import Trained
from sde_jax.features.trained import FILES, NOTE, RECORD, WEIGHTS, Classification, load, save
from sde_jax.nn import drawn, stateless
from sde_jax.nn.classifiers import Perceptron

ABOUT = Classification(
    Perceptron(3, features=5, width=4, depth=1),
    (2,),
    Scaling((1.0, 2.0), (0.5, 3.0)),
    "0123456789abcdef0123",
    classes=("a", "b", "c"),
)


@pytest.fixture
def network():
    return stateless(drawn(ABOUT.classifier, ABOUT.shape, 0))


@pytest.fixture
def folder(network, tmp_path):
    save(tmp_path, ABOUT, network[1])
    return tmp_path


def test_features_are_those_of_the_saved_classifier(network, folder):
    call, params = network
    data = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    features, logits = Trained(str(folder)).open((2,), None)(data)
    x = (data - np.array([1.0, 2.0], np.float32)) / np.array([0.5, 3.0], np.float32)
    expected = jax.vmap(call, (None, 0))(params, x)
    np.testing.assert_allclose(features, expected.features, rtol=1e-5)
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-5)


def test_a_directory_gives_back_what_was_saved(network, folder):
    about, params, digest = load(folder)
    assert about == ABOUT
    assert jax.tree.all(jax.tree.map(np.array_equal, params, network[1]))
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert json.loads((folder / RECORD).read_text())["sha256"] == digest


def test_nobody_can_take_them_for_a_published_fids(folder):
    extract = Trained(str(folder)).open((2,), None)
    assert not extract.comparable
    assert NOTE in extract.protocol
    assert json.loads((folder / RECORD).read_text())["note"] == NOTE
    assert "data 0123456789abcdef, sha256" in extract.name


@pytest.mark.parametrize(("shape", "levels"), [((3,), None), ((2,), 256)])
def test_examples_of_another_kind_are_refused(folder, shape, levels):
    with pytest.raises(InputError, match="train one on these data"):
        Trained(str(folder)).open(shape, levels)


def refusal(folder) -> str:
    with pytest.raises(InputError) as error:
        Trained(str(folder)).open((2,), None)
    return str(error.value)


def test_other_weights_are_refused(network, folder):
    arrays, _ = read_safetensors(folder / WEIGHTS)
    write_safetensors(folder / WEIGHTS, {name: array + 1 for name, array in arrays.items()})
    assert "not the file that features.json was written with" in refusal(folder)
    write_safetensors(folder / WEIGHTS, {**arrays, "more": np.zeros(2)})
    assert "1 unexpected (more)" in refusal(folder)
    (folder / WEIGHTS).unlink()
    assert "does not exist" in refusal(folder)


def test_a_directory_without_a_classifier_is_refused(folder, tmp_path):
    facts = json.loads((folder / RECORD).read_text())
    for change, said in (
        ("{", "cannot be read"),
        ("[]", "not that of trained features"),
        (json.dumps({**facts, "format_version": 9}), "not that of trained features of format 1"),
        (json.dumps({**facts, "classifier": {"type": "os.system"}}), "no such Classifier"),
        (json.dumps({**facts, "classifier": {"type": "WideResNet"}}), "no such Classifier"),
    ):
        (folder / RECORD).write_text(change)
        assert said in refusal(folder)
    (folder / RECORD).unlink()
    assert "sde-jax train-features --output" in refusal(folder)
