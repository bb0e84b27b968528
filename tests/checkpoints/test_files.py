"""The format of a file is what its content says."""

from pathlib import Path

import flax.serialization
import numpy as np
import pytest

from sde_jax.checkpoints import read_checkpoint, write_safetensors
from sde_jax.errors import InputError

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("name", ["torch_zip.pth", "torch_legacy.pth"])
def test_pytorch_is_recognised(tmp_path, name):
    (tmp_path / "x.msgpack").write_bytes((FIXTURES / name).read_bytes())
    assert read_checkpoint(tmp_path / "x.msgpack")["plain"]["step"] == 7


@pytest.mark.parametrize("entries", [1, 15, 16, 70_000])
def test_flax_is_recognised_however_many_entries_it_has(tmp_path, entries):
    (tmp_path / "x.pth").write_bytes(flax.serialization.to_bytes({str(entry): entry for entry in range(entries)}))
    assert read_checkpoint(str(tmp_path / "x.pth"))["0"] == 0


# Headers whose length begins with any byte, that of a map of msgpack too.
@pytest.mark.parametrize("names", range(1, 120, 7))
def test_safetensors_is_recognised_whatever_its_length(tmp_path, names):
    write_safetensors(tmp_path / "x", {"a" * names: np.ones(1)})
    assert list(read_checkpoint(tmp_path / "x")) == ["a" * names]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>", "a web page"),
        (b"<html lang=en>", "a web page"),
        (b"hello", "no known format (it begins with b'hello')"),
        (b"\x80\x04\x95", "is a bare pickle, which is code, and is not executed"),
        (b"\x80\x02c", "is a bare pickle"),
        (b"\x81\xa1a", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (b"\x93NUMPY", "no known format"),
        (b"no sizes{}", "no known format"),
        (b"{}", "no known format"),
        (b"\x00", "no known format"),
    ],
)
def test_what_is_in_no_known_format_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_checkpoint(tmp_path / "x")
    assert words in str(raised.value)
    assert str(raised.value).count(str(tmp_path / "x")) == 1
    assert str(raised.value).startswith(str(tmp_path / "x"))
    assert "\n" not in str(raised.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        read_checkpoint(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_checkpoint(tmp_path / "x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "loop")
