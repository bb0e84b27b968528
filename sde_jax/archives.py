"""Archives of arrays (.npz) that others made: nothing in them is executed, and none fills the memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

SMALL = 2**30
"""Bytes that any archive may unpack to."""
TIMES = 100
"""How many times its own size a larger one may; deflate reaches 1032, with nothing but zeros."""


@contextmanager
def opened_npz(file: Any) -> Iterator[Any]:
    """Yield the arrays by name of an open file of numpy.savez, as np.load without pickles.

    Raises `ValueError` for one that says it unpacks to absurdly much; Python reads no more of an entry than that.
    """
    with np.load(file, allow_pickle=False) as arrays:
        entries = arrays.zip.infolist()
        packed, unpacked = (sum(getattr(e, size) for e in entries) for size in ("compress_size", "file_size"))
        if unpacked > max(SMALL, TIMES * packed):
            raise ValueError(f"{packed} bytes unpack to {unpacked}, more than 1 GiB and {TIMES} times as many")
        yield arrays
