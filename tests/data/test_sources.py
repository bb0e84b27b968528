"""A source held in memory."""

import subprocess
import sys

import numpy as np
import pytest

from sde_jax.data import Arrays
from sde_jax.errors import InputError


def test_arrays_are_a_source_of_their_rows():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2)).astype(np.uint8)
    source = Arrays(images, [4, 3, 2, 1, 0])
    assert len(source) == 5
    for index, example in enumerate(source[index] for index in range(5)):
        np.testing.assert_array_equal(example["data"], images[index])
        assert (example["label"], example["index"]) == (4 - index, index)
        assert (example["label"].dtype, example["index"].dtype) == (np.int32, np.int64)
        assert example["label"].shape == example["index"].shape == ()


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 3, 2, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_examples_have_any_rank_and_keep_their_type(shape, dtype):
    data = np.arange(2 * np.prod(shape)).reshape(2, *shape).astype(dtype)
    example = Arrays(data)[1]
    assert example["data"].dtype == dtype
    np.testing.assert_array_equal(example["data"], data[1])


def test_arrays_without_labels_have_the_label_minus_one():
    assert Arrays(np.zeros((2, 1, 1, 1), np.uint8))[1]["label"] == -1


def test_an_index_beyond_the_end_is_an_index_error():
    with pytest.raises(IndexError):
        Arrays(np.zeros((2, 1, 1, 1), np.uint8))[2]


def test_a_consumer_cannot_change_the_data():
    images = np.zeros((2, 1, 1, 1), np.uint8)
    source = Arrays(images)
    images[:] = 9
    assert source[0]["data"].max() == 0
    with pytest.raises(ValueError, match="read-only"):
        source[0]["data"][:] = 1


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros(2, np.uint8), None),
        (np.zeros((2, 1)), None),
        (np.full((2, 1), np.nan, np.float32), None),
        (np.zeros((2, 1, 1, 1), np.uint8), [1]),
        (np.zeros((2, 1, 1, 1), np.uint8), [0.5, 1.0]),
    ],
)
def test_arrays_of_other_shapes_or_types_are_refused(images, labels):
    with pytest.raises(InputError, match="expected"):
        Arrays(images, labels)


def test_importing_the_data_package_imports_nothing_slow():
    slow = ["array_record", "datasets", "grain", "pyarrow", "sklearn", "tensorflow", "tensorflow_datasets"]
    code = f"import sys, sde_jax.data; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
