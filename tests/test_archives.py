"""An archive of arrays that would fill the memory is refused wherever one is read."""

import struct

import numpy as np
import pytest

from sde_jax.archives import SMALL, TIMES, opened_npz
from sde_jax.checkpoints import read_checkpoint
from sde_jax.data import ArrayFile
from sde_jax.errors import InputError
from sde_jax.metrics import read_gaussian


@pytest.fixture
def bomb(tmp_path):
    """An archive of which one entry says in the archive's directory that it unpacks to more than is allowed."""
    np.savez_compressed(tmp_path / "bomb.npz", mu=np.zeros((4, 4)), sigma=np.eye(4))
    content = bytearray((tmp_path / "bomb.npz").read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, SMALL + 1)
    (tmp_path / "bomb.npz").write_bytes(content)
    return tmp_path / "bomb.npz"


@pytest.mark.parametrize(
    "read", [read_checkpoint, read_gaussian, lambda path: ArrayFile(str(path), "mu").open()], ids=str
)
def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(bomb, read):
    with pytest.raises(InputError, match=rf"bomb\.npz .*bytes unpack to {SMALL + 1 + 256}, more than"):
        read(bomb)


def test_zeros_pack_well_and_are_taken_up_to_a_size(tmp_path):
    np.savez_compressed(tmp_path / "zeros.npz", a=np.zeros(10**6))
    assert (tmp_path / "zeros.npz").stat().st_size * TIMES < 8 * 10**6
    with (tmp_path / "zeros.npz").open("rb") as file, opened_npz(file) as arrays:
        assert arrays["a"].shape == (10**6,)
