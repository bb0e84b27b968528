"""A file of arrays is data of any shape; what cannot be used is refused by place."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sde_jax.data import ArrayFile
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)
REAL = RANDOM.normal([3.0, -5.0, 0.0], [0.1, 2.0, 1e3], (50, 4, 3))


def saved(path, **arrays: np.ndarray) -> str:
    np.savez(path / "data.npz", **arrays)
    return str(path / "data.npz")


def saved_alone(path, array: np.ndarray) -> str:
    np.save(path / "data.npy", array)
    return str(path / "data.npy")


def stacked(source) -> np.ndarray:
    return np.stack([source[index]["data"] for index in range(len(source))])


def labels(source) -> list[int]:
    return [int(source[index]["label"]) for index in range(len(source))]


def refusal(*arguments, **fields) -> str:
    with pytest.raises(InputError) as raised:
        ArrayFile(*arguments, **fields).open()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("shape", [(7,), (5, 4), (5, 4, 3), (2, 3, 4, 5)])
def test_examples_of_every_rank_are_read_back(tmp_path, shape):
    data = RANDOM.integers(0, 256, (6, *shape)).astype(np.uint8)
    for path in (saved_alone(tmp_path, data), saved(tmp_path, data=data)):
        splits = ArrayFile(path).open()
        assert (splits.shape, splits.levels, len(splits.held_out)) == (shape, 256, 0)
        np.testing.assert_array_equal(stacked(splits.train), data)
        assert splits.train[5]["data"].dtype == np.uint8
        assert (splits.train[5]["index"], splits.train[5]["label"]) == (5, -1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_real_numbers_are_kept_and_standardised_by_the_training_split(tmp_path, dtype):
    data = REAL.astype(dtype)
    splits = ArrayFile(saved_alone(tmp_path, data), held_out=10).open()
    train = stacked(splits.train)
    assert splits.levels is None
    assert train.dtype == np.float32
    x0 = (train.astype(np.float64) - splits.scaling.shift) / splits.scaling.scale
    np.testing.assert_allclose(x0.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(x0.std((0, 1)), 1, rtol=1e-5)
    both = np.concatenate([train, stacked(splits.held_out)])
    assert sorted(map(bytes, both)) == sorted(map(bytes, data.astype(np.float32)))


def test_one_scale_for_all_numbers_is_their_mean_and_deviation(tmp_path):
    splits = ArrayFile(saved_alone(tmp_path, REAL), per_feature=False).open()
    np.testing.assert_allclose(splits.scaling.shift, [REAL.mean()], rtol=1e-12)
    np.testing.assert_allclose(splits.scaling.scale, [REAL.std()], rtol=1e-12)


def test_a_small_deviation_beside_a_large_mean_is_found_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("sde_jax.data.rows._NUMBERS_AT_ONCE", 64)
    data = 1e6 + RANDOM.normal(size=(1001, 2)) * [1e-3, 1.0]
    scaling = ArrayFile(saved_alone(tmp_path, data)).open().scaling
    np.testing.assert_allclose(scaling.shift, data.mean(0), rtol=1e-14)
    np.testing.assert_allclose(scaling.scale, data.std(0), rtol=1e-6)


def test_the_rows_held_out_are_the_last_of_the_documented_permutation_and_keep_their_order(tmp_path):
    data = np.arange(20, dtype=np.uint8).reshape(20, 1)
    splits = ArrayFile(saved(tmp_path, data=data, y=np.arange(20)), labels_key="y", held_out=5).open()
    order = np.random.RandomState(0).permutation(20)
    assert labels(splits.held_out) == sorted(order[15:]) == stacked(splits.held_out)[:, 0].tolist()
    assert labels(splits.train) == sorted(order[:15]) == stacked(splits.train)[:, 0].tolist()


def test_another_array_may_be_held_out_and_its_numbers_do_not_move_the_scale(tmp_path):
    arrays = {"x_train": REAL, "x_test": REAL[:7] * 100, "y_train": np.arange(50), "y_test": np.arange(7)[:, None]}
    fields = {"labels_key": "y_train", "held_out_key": "x_test", "held_out_labels_key": "y_test"}
    splits = ArrayFile(saved(tmp_path, **arrays), **fields).open()
    np.testing.assert_array_equal(stacked(splits.held_out), (REAL[:7] * 100).astype(np.float32))
    assert (labels(splits.train), labels(splits.held_out)) == (list(range(50)), list(range(7)))
    np.testing.assert_allclose(splits.scaling.shift, REAL.mean((0, 1)), rtol=1e-12)


def test_labels_beside_a_large_array_are_a_file_of_their_own(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(50)[::-1])
    splits = ArrayFile(saved_alone(tmp_path, REAL), labels_key=str(tmp_path / "y.npy")).open()
    assert labels(splits.train) == list(range(50))[::-1]


def test_a_npy_is_mapped_into_memory_and_an_example_is_a_copy(tmp_path):
    path = saved_alone(tmp_path, REAL.astype(np.float32))
    train = ArrayFile(path).open().train
    assert isinstance(train._data, np.memmap)
    train[0]["data"][:] = 0
    np.testing.assert_array_equal(train[0]["data"], REAL[0].astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "levels", "expected", "kept"),
    [
        (np.bool_, None, 2, np.uint8),
        (np.uint8, 17, 17, np.uint8),
        (np.int64, 17, 17, np.uint8),
        (np.uint16, 65536, 65536, np.int32),
    ],
)
def test_whole_numbers_have_the_levels_of_their_type_or_those_stated(tmp_path, dtype, levels, expected, kept):
    data = np.array([[0, 1], [1, 0]], dtype)
    splits = ArrayFile(saved_alone(tmp_path, data), levels=levels).open()
    assert splits.levels == expected
    assert splits.train[0]["data"].dtype == kept
    np.testing.assert_array_equal(stacked(splits.train), data)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, "1e+300")])
def test_a_number_that_is_not_finite_in_float32_is_refused_by_its_place(tmp_path, value, name):
    data = REAL.copy()
    data[17, 2, 1] = data[30] = value
    assert f"holds {name} in example 17 at (2, 1)" in refusal(saved_alone(tmp_path, data))


def test_numbers_that_are_all_the_same_are_refused_by_their_place(tmp_path):
    data = REAL.copy()
    data[:, :, 2] = 0.1
    assert "entry 2 of the last axis is 0.1 in all" in refusal(saved_alone(tmp_path, data))
    assert ArrayFile(saved_alone(tmp_path, data), per_feature=False).open().shape == (4, 3)


@pytest.mark.parametrize("value", [-1, 17])
def test_a_level_out_of_range_is_refused_by_its_place(tmp_path, value):
    data = np.zeros((3, 2), np.int64)
    data[2, 1] = value
    message = refusal(saved_alone(tmp_path, data), levels=17)
    assert f"holds {value} in example 2 at (1,); expected whole numbers from 0 to levels - 1 = 16" in message


class Trap:
    def __reduce__(self):
        return os._exit, (7,)


@pytest.mark.parametrize("kind", ["npy", "npz", "pickle"])
def test_pickled_objects_are_refused_and_not_run(tmp_path, kind):
    path = tmp_path / f"data.{kind}"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        {"npy": np.save, "npz": np.savez}[kind](path, np.array([[Trap()]], object))
    assert "cannot be read" in refusal(str(path))


def test_a_damaged_or_missing_file_is_refused_by_name(tmp_path):
    assert "nowhere.npy cannot be read" in refusal(str(tmp_path / "nowhere.npy"))
    for number, path in enumerate([saved_alone(tmp_path, REAL), saved(tmp_path, data=REAL)]):
        content = Path(path).read_bytes()
        for damaged in (content[: len(content) // 2], content[:60], b"text"):
            (tmp_path / f"{number}.npy").write_bytes(damaged)
            assert f"{number}.npy cannot be read" in refusal(str(tmp_path / f"{number}.npy"))


UNUSABLE = {
    "rank": ({"a": np.zeros(5)}, {}, "shape (5,); expected"),
    "empty": ({"a": np.zeros((0, 2))}, {}, "shape (0, 2); expected"),
    "text": ({"a": np.array([["x"]])}, {}, "is <U1"),
    "complex": ({"a": np.zeros((2, 2), complex)}, {}, "is complex128"),
    "two arrays": ({"a": REAL, "b": REAL}, {}, "holds the arrays a, b; expected key"),
    "no such key": ({"a": REAL, "b": REAL}, {"key": "c"}, "no array 'c'; expected one of those it holds: a, b"),
    "no labels": ({"a": REAL}, {"labels_key": "y"}, "no array 'y'"),
    "few labels": ({"a": REAL, "y": np.arange(3)}, {"labels_key": "y"}, "'y' is int64 of shape (3,)"),
    "real labels": ({"a": REAL, "y": np.arange(50.0)}, {"labels_key": "y"}, "'y' is float64"),
    "labels below": ({"a": REAL, "y": np.arange(50) - 2}, {"labels_key": "y"}, "labels from -2 to 47"),
    "unstated levels": ({"a": np.zeros((2, 2), int)}, {}, "expected levels to be stated"),
    "levels of reals": ({"a": REAL}, {"levels": 5}, "is float64 and levels = 5"),
    "all held out": ({"a": REAL}, {"held_out": 50}, "has 50 examples; expected more than held_out = 50"),
    "other shape": (
        {"a": REAL, "b": REAL[:, :2]},
        {"held_out_key": "b"},
        "of shape (2, 3); expected float64 and (4, 3)",
    ),
    "held out NaN": ({"a": REAL, "b": REAL * np.nan}, {"held_out_key": "b"}, "'b' holds nan in example 0"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_arrays_that_cannot_be_used_are_refused_by_name(tmp_path, case):
    arrays, fields, reason = UNUSABLE[case]
    message = refusal(saved(tmp_path, **arrays), **fields)
    assert reason in message
    assert "data.npz" in message


def test_an_entry_of_a_npz_that_is_no_array_is_refused(tmp_path):
    path = saved(tmp_path, a=REAL)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "hello")
    assert "is no array" in refusal(path, key="notes.txt")


@pytest.mark.parametrize(
    "fields",
    [{"held_out": -1}, {"levels": 1}, {"held_out": 1, "held_out_key": "b"}, {"held_out_labels_key": "y"}],
)
def test_settings_that_contradict_are_refused(fields):
    with pytest.raises(InputError, match="expected"):
        ArrayFile("x", **fields)
