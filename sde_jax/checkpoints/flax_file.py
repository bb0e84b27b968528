"""Files of `flax.serialization.to_bytes`, read without Flax.

They are msgpack: nested maps with text as keys. Extension 1 is an array and 3 a scalar of NumPy, both packed as
(shape, name of the type, bytes in C order); 2 is a complex number, packed as (real, imaginary). An array too large for
one extension is a map of its shape and of chunks of the flat array.
"""

import math
import os
from typing import Any

import msgpack
import numpy as np

from sde_jax.checkpoints.contents import contents_of
from sde_jax.checkpoints.dtypes import DTYPES
from sde_jax.checkpoints.tree import require_plain
from sde_jax.errors import InputError, whole

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"


def read_flax(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the nested dicts that Flax wrote to a file, with arrays as they were and read-only.

    Lists and tuples are dicts with the keys "0", "1", ..., as Flax writes a state. Raises `InputError` if the file is
    damaged, or is anything else.
    """
    content = contents_of(path)
    try:
        tree = msgpack.unpackb(content, ext_hook=_extension, object_hook=_joined, raw=False, strict_map_key=True)
        require_plain(tree)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:
        raise InputError(
            f"{path} is no msgpack of Flax, or damaged ({str(error)!a:.120}); expected a file of "
            "flax.serialization.to_bytes: copy or download it again"
        ) from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds a {type(tree).__name__}; expected the state that Flax writes, nested dicts")
    return tree


def _extension(code: int, data: bytes) -> Any:
    if code == _ARRAY:
        return _array(data)
    if code == _SCALAR:
        return _array(data)[()]
    if code == _COMPLEX:
        real, imaginary = msgpack.unpackb(data)
        return complex(real, imaginary)
    raise InputError(f"contains msgpack's extension {code}, which Flax does not write: refused")


def _array(data: bytes) -> np.ndarray:
    shape, name, numbers = msgpack.unpackb(data, use_list=False)
    if name not in DTYPES:
        raise InputError(f"contains numbers of the type {name!a:.40}; expected one of {', '.join(DTYPES)}")
    if not all(whole(length, 0) for length in shape) or math.prod(shape) * DTYPES[name].itemsize != len(numbers):
        raise InputError(f"contains {len(numbers)} bytes as {name} of shape {shape}; copy or download it again")
    return np.ndarray(shape, DTYPES[name], numbers)


def _joined(entries: dict[str, Any]) -> Any:
    if _CHUNKED not in entries:
        return entries
    shape, chunks = entries["shape"], entries["chunks"]
    flat = np.concatenate([chunks[str(index)] for index in range(len(chunks))])
    return flat.reshape([shape[str(index)] for index in range(len(shape))])
