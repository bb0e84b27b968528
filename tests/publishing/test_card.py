import dataclasses
import re

import huggingface_hub
import jax
import numpy as np
import pytest

from sde_jax import publishing
from sde_jax.data import Scaling
from sde_jax.errors import InputError
from sde_jax.publishing import Card


def published(folder, model, card=None) -> str:
    publishing.save(folder, model, card)
    return (folder / "README.md").read_text()


def code(text: str) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    return block


def test_the_code_on_the_card_draws_samples(model, tmp_path, monkeypatch):
    block = code(published(tmp_path / "model", model))
    monkeypatch.chdir(tmp_path / "model")
    names = {}
    exec(block, names)
    images = np.asarray(names["images"])
    assert images.shape == (4, 4, 4, 1)
    assert images.min() >= 0
    assert images.max() <= 16
    assert np.isfinite(names["x0"]).all()
    assert names["samples"].evaluations.tolist() == [3] * 4  # the first of the samplers


def test_a_model_without_samplers_is_drawn_from_by_one_that_the_card_names(model, tmp_path, monkeypatch):
    experiment = dataclasses.replace(model.record.experiment, samplers={})
    bare = dataclasses.replace(model, record=dataclasses.replace(model.record, experiment=experiment))
    text = published(tmp_path / "model", bare)
    monkeypatch.chdir(tmp_path / "model")
    names = {}
    exec(code(text), names)
    assert names["images"].shape == (4, 4, 4, 1)
    assert "## Samplers" not in text


def test_a_model_of_real_numbers_has_a_card_whose_code_gives_them_in_their_own_units(model, tmp_path, monkeypatch):
    record = dataclasses.replace(model.record, levels=None, scaling=Scaling((5.0,), (2.0,)))
    text = published(tmp_path / "model", dataclasses.replace(model, record=record))
    monkeypatch.chdir(tmp_path / "model")
    names = {}
    exec(code(text), names)
    np.testing.assert_allclose(names["examples"], 2 * names["samples"].x + 5, rtol=1e-6)
    assert "examples of 4 × 4 × 1 real numbers" in text
    assert huggingface_hub.ModelCard(text).data.pipeline_tag is None


def test_the_front_matter_is_what_the_hub_reads(model, tmp_path):
    text = published(tmp_path / "model", model, Card(license="cc-by-4.0", title="Digits: 'a' \"b\""))
    data = huggingface_hub.ModelCard(text).data
    assert (data.license, data.library_name) == ("cc-by-4.0", "sde_jax")
    assert data.pipeline_tag == "unconditional-image-generation"
    assert "diffusion" in data.tags
    assert "# Digits: 'a' \"b\"\n" in text


def test_the_card_says_what_the_model_is(any_model, tmp_path):
    experiment = any_model.record.experiment
    text = published(tmp_path / "model", any_model)
    said = (experiment.sde, experiment.network, experiment.objective.parameterization, *experiment.samplers.values())
    assert all(f"`{part}`" in text for part in said)
    count = sum(array.size for array in jax.tree.leaves(any_model.params))
    assert f", {count:,} parameters" in text
    assert "images of 4 × 4 × 1 numbers with 17 levels" in text
    assert "12 steps of 128 images" in text
    assert "Nothing was measured" in text
    assert "No licence was given" in text


def test_what_its_author_knows_is_on_the_card(model, tmp_path):
    numbers = [("bits per dimension", 2.19423, "held-out"), ("images", 1297, "of them"), ("note", "few", "")]
    card = Card("mit", "Mine", "Drawn by *hand*.\n", "- Blurred.", numbers)
    text = published(tmp_path / "model", model, card)
    assert "# Mine\n\nDrawn by *hand*.\n\nA network" in text
    assert "| bits per dimension | 2.194 | held-out |\n| images | 1,297 | of them |\n| note | few |  |\n" in text
    assert text.endswith("- Blurred.\n")
    assert "No licence" not in text
    assert "Nothing was measured" not in text


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"license": ""}, "license = ''"),
        ({"license": "mit\nlibrary_name: x"}, "license = 'mit\\nlibrary_name: x'"),
        ({"title": " "}, "title = ' '"),
        ({"title": "a\nb"}, "title = 'a\\nb'"),
        ({"numbers": [("loss", float("nan"), "")]}, "numbers: loss is not finite"),
        ({"repository": 'x"); import os'}, "is no repository on the hub"),
    ],
)
def test_a_card_that_cannot_be_is_refused(card, told):
    with pytest.raises(InputError) as raised:
        Card(**card)
    assert told in str(raised.value)
