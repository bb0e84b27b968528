"""What flax.serialization writes is read back as it was, without Flax, and nothing else is."""

import random

import flax.serialization
import jax
import jax.numpy as jnp
import ml_dtypes
import msgpack
import numpy as np
import pytest

from sde_jax.checkpoints import read_flax
from sde_jax.errors import InputError


def saved(path, content: bytes):
    (path / "x.msgpack").write_bytes(content)
    return path / "x.msgpack"


def state() -> dict:
    kinds = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
    return {
        "params": {"Dense_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": jnp.ones(3)}},
        "kinds": {kind: np.arange(3).astype(kind) for kind in kinds.split()},
        "narrow": {"bfloat16": jnp.arange(3, dtype=jnp.bfloat16), "float8": np.ones(2, ml_dtypes.float8_e4m3fn)},
        "transposed": np.arange(6).reshape(2, 3).T,
        "empty": np.zeros((0, 3)),
        "scalars": {
            "array": np.array(2.5),
            "numpy": np.float32(1.5),
            "step": 7,
            "z": 1 + 2j,
            "name": "ve",
            "none": None,
        },
        "bytes": b"\x00\xff",
        "list": [np.zeros(2), {"deep": np.ones(1)}],
    }


def test_a_state_is_read_as_flax_reads_it(tmp_path):
    content = flax.serialization.to_bytes(state())
    found = read_flax(saved(tmp_path, content))
    flaxs = flax.serialization.msgpack_restore(content)
    assert jax.tree.structure(found) == jax.tree.structure(flaxs)
    for (path, value), other in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(flaxs), strict=True):
        assert type(value) is type(other), path
        assert np.asarray(value).dtype == np.asarray(other).dtype, path
        np.testing.assert_array_equal(value, other)
    assert set(found["list"]) == {"0", "1"}


def test_arrays_in_chunks_are_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 20)
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    content = flax.serialization.to_bytes({"a": {"b": array}, "c": np.arange(3)})
    assert b"chunks" in content
    found = read_flax(saved(tmp_path, content))
    np.testing.assert_array_equal(found["a"]["b"], array)
    assert found["a"]["b"].dtype == np.float32


def packed(*parts: object, code: int = 1) -> bytes:
    return msgpack.packb({"a": msgpack.ExtType(code, msgpack.packb(parts))})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed((2,), "float32", bytes(7)), "7 bytes as float32"),
        (packed((2,), "float32", bytes(9)), "9 bytes"),
        (packed((-2, -1), "float32", bytes(8)), "8 bytes"),
        (packed((2**40, 2**40), "float32", b""), "0 bytes"),
        (packed((True,), "float32", bytes(4)), "4 bytes"),
        (packed((1,), "object", bytes(8)), "type 'object'"),
        (packed((1,), "V8", bytes(8)), "type 'V8'"),
        (packed((1,), "float32"), "damaged"),
        (packed(1, 2, code=7), "extension 7"),
        (packed("a", 2, code=2), "damaged"),
        (msgpack.packb({"a": msgpack.Timestamp(1)}), "Timestamp as a value"),
        (msgpack.packb([1, 2]), "holds a list"),
        (msgpack.packb(7), "holds a int"),
        (msgpack.packb({1: 2}), "damaged"),
        (msgpack.packb({"a": 1}) + b"\x00", "damaged"),
        (b"\x81\xa1a" * 100 + b"\x00", "containers more than"),
        (b"\x81\xa1a" * 100_000, "damaged"),
        (b"\xdf\xff\xff\xff\xff", "damaged"),
        (msgpack.packb({"__msgpack_chunked_array__": True}), "damaged"),
        (msgpack.packb({"__msgpack_chunked_array__": True, "shape": {"0": 2}, "chunks": {}}), "damaged"),
        (b"<html>", "x.msgpack"),
    ],
)
def test_anything_else_is_refused(tmp_path, content, words):
    with pytest.raises(InputError) as raised:
        read_flax(saved(tmp_path, content))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_damaged_file_is_refused_or_read_but_nothing_else(tmp_path):
    content = flax.serialization.to_bytes(state())
    generator = random.Random(0)
    for length in range(1, len(content), 23):
        with pytest.raises(InputError):
            read_flax(saved(tmp_path, content[:length]))
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] = generator.randrange(256)
        try:
            read_flax(saved(tmp_path, bytes(damaged)))
        except InputError:
            refused += 1
    assert refused
