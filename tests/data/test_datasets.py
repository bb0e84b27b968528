"""Every data set can be named in a config, and comes back from JSON as it went."""

import json

import pytest

from sde_jax import data
from sde_jax.codec import components, decode, encode

REQUIRED = {
    "ArrayFile": {"path": "x.npy", "levels": 17},
    "HuggingFace": {"name": "a/b", "size": 8},
    "Images": {"path": "x", "labels_from_folders": True},
    "LSUN": {"category": "bedroom"},
    "Prepared": {"path": "x"},
    "Table": {"path": "x.csv", "columns": ("a", "b")},
    "TFRecordImages": {"path": "x"},
}


@pytest.mark.parametrize("name", sorted(components(data.Dataset)))
def test_a_data_set_comes_back_from_json(name):
    dataset = components(data.Dataset)[name](**REQUIRED.get(name, {}))
    text = json.dumps(encode(dataset))
    assert decode(data.Dataset, json.loads(text)) == (dataset, [])


def test_the_data_sets_are_those_of_the_documentation():
    toys = {"Checkerboard", "GaussianRing", "Moons", "Rings", "Spirals", "SwissRoll"}
    papers = {"CIFAR10", "CelebA", "LSUN", "SVHN", "TFRecordImages"}
    files = {"ArrayFile", "Digits", "HuggingFace", "Images", "Table"}
    assert toys | papers | files <= set(components(data.Dataset))
