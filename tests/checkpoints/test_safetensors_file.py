"""Arrays and text are read from safetensors as they were written."""

import json
import random

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from sde_jax.checkpoints import read_safetensors, write_safetensors
from sde_jax.errors import InputError


def arrays() -> dict[str, np.ndarray]:
    kinds = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64"
    return {
        **{kind: np.arange(6).reshape(2, 3).astype(kind) for kind in kinds.split()},
        "bfloat16": np.arange(3).astype(ml_dtypes.bfloat16),
        "a/b.c é": np.ones(2),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3)),
    }


def test_arrays_and_metadata_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "x.any"
    write_safetensors(path, arrays(), {"step": "7", "é": ""})
    found, metadata = read_safetensors(path)
    assert metadata == {"step": "7", "é": ""}
    assert set(found) == set(arrays())
    for name, array in arrays().items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
    assert [file.name for file in tmp_path.iterdir()] == ["x.any"]


def test_views_are_written_by_their_values_and_not_by_their_memory(tmp_path):
    base = np.arange(12.0).reshape(3, 4)
    views = {"transposed": base.T, "reversed": base[::-1], "columns": base[:, 1::2], "swapped": base.astype(">f8")}
    write_safetensors(
        tmp_path / "x", {**views, "jax": jnp.arange(3), "list": [1, 2], "one": np.broadcast_to(1.5, (2, 2))}
    )
    found, metadata = read_safetensors(tmp_path / "x")
    assert metadata == {}
    for name, view in views.items():
        np.testing.assert_array_equal(found[name], view)
    assert found["jax"].tolist() == [0, 1, 2]
    assert found["list"].tolist() == [1, 2]
    assert found["one"].tolist() == [[1.5, 1.5]] * 2


@pytest.mark.parametrize(
    ("content", "metadata", "words"),
    [
        ({"a": np.zeros(1, complex)}, None, "a is complex128"),
        ({"a": np.zeros(1, ml_dtypes.float8_e5m2)}, None, "a is float8_e5m2"),
        ({"a": np.array([None])}, None, "a is object"),
        ({"a": np.array(["x"])}, None, "a is <U1"),
        ({"__metadata__": np.zeros(1)}, None, "'__metadata__'"),
        ({1: np.zeros(1)}, None, "named 1"),
        ({"a": np.zeros(1)}, {"step": 7}, "expected text"),
        ({"a": np.zeros(1)}, {7: "step"}, "expected text"),
    ],
)
def test_what_the_format_does_not_have_is_refused(tmp_path, content, metadata, words):
    with pytest.raises(InputError) as raised:
        write_safetensors(tmp_path / "x", content, metadata)
    assert words in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_safetensors(tmp_path / "no folder" / "x", {"a": np.zeros(1)})
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_safetensors(tmp_path / "folder", {"a": np.zeros(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_damaged_file_is_refused_or_read_but_nothing_else(tmp_path):
    path = tmp_path / "x"
    write_safetensors(path, arrays())
    content = path.read_bytes()
    for length in range(1, len(content), 29):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_safetensors(path)
    generator = random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            read_safetensors(path)
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused


def test_types_that_numpy_does_not_have_are_refused(tmp_path):
    header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(InputError, match="x is no safetensors file"):
        read_safetensors(tmp_path / "x")
