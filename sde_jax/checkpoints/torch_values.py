"""What the names in a PyTorch file stand for here: tensors become arrays, the rest plain values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_jax.checkpoints.dtypes import DTYPES
from sde_jax.checkpoints.pickles import Constructor, mapping, require_keys, shown
from sde_jax.errors import InputError, whole

REPEATED = 2**20
"""A tensor may repeat the numbers of its storage (stride 0) up to so many elements."""


@dataclass(frozen=True)
class StorageKind:
    """The class of a storage: the type of its numbers."""

    dtype: np.dtype


def tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> np.ndarray:
    """Return the view of a storage [n] with a tensor's size and strides, both in elements: no copy."""
    if not _is_storage(storage) or not _sizes(size) or not _sizes(stride) or not whole(offset, 0):
        raise InputError("contains a tensor without a storage, size and strides: refused")
    if metadata:
        raise InputError("contains a tensor with metadata (a lazy conjugate or negative): save its .resolve_conj()")
    count = math.prod(size)
    if count == 0:
        return np.empty(tuple(size), storage.dtype)
    if count > max(storage.size, REPEATED):
        raise InputError(f"contains a tensor of {count} elements on a storage of {storage.size}: save its .clone()")
    # In Python's integers: NumPy's own test of the bounds can overflow.
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= storage.size:
        raise InputError(f"contains a tensor up to element {last} of a storage of {storage.size}: refused")
    width = storage.dtype.itemsize
    strides = [width * step for step in stride]
    return np.ndarray(tuple(size), storage.dtype, storage.view(np.uint8), width * offset, strides)


def tensor_of_kind(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> np.ndarray:
    """Return the tensor of a type of numbers on an untyped storage."""
    if not _is_storage(storage) or not isinstance(dtype, np.dtype):
        raise InputError("contains a tensor without a storage and a type: refused")
    return tensor(storage.view(dtype), offset, size, stride, metadata=metadata)


def parameter(data: Any, requires_grad: Any = True, hooks: Any = None) -> np.ndarray:
    """Return the array of a parameter."""
    if not isinstance(data, np.ndarray):
        raise InputError(f"contains a parameter that is a {type(data).__name__}: refused")
    return data


def size(lengths: Any) -> tuple[int, ...]:
    """Return a torch.Size as a tuple."""
    if not _sizes(lengths):
        raise InputError("contains a torch.Size that is no tuple of lengths: refused")
    return tuple(lengths)


def device(kind: Any, index: Any = None) -> str:
    """Return a torch.device as its name, such as "cuda:0"."""
    if not isinstance(kind, str) or not (index is None or whole(index, 0)):
        raise InputError("contains a torch.device that is no name and number: refused")
    return kind if index is None else f"{kind}:{index}"


def numpy_dtype(name: Any, align: Any = False, copy: Any = False) -> np.dtype:
    """Return NumPy's type of plain numbers, little-endian; no objects, records or text."""
    if not isinstance(name, str) or name not in _NUMPY:
        raise InputError(f"contains numbers of NumPy's type {shown(name)}: refused")
    return np.dtype(name).newbyteorder("<")


def numpy_scalar(dtype: Any, data: Any) -> np.generic:
    """Return the number of a type whose bytes are given."""
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise InputError("contains a NumPy number without its type and bytes: refused")
    return np.frombuffer(data, dtype)[0]


def encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """Return the bytes that pickles before protocol 3 write as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise InputError("contains text in place of bytes, in another encoding than latin1: refused")
    return text.encode("latin1")


def require_no_state(target: Any, state: Any) -> None:
    """Raise `InputError` unless a state leaves a value as it is.

    The attributes of an OrderedDict are dropped: PyTorch keeps the versions of modules there. A NumPy type's state
    is its byte order, little-endian, and no fields.
    """
    if isinstance(target, dict) and isinstance(state, dict):
        return
    if isinstance(target, np.dtype) and isinstance(state, tuple):
        _, order, *parts = state[:5]
        if order in ("<", "|") and parts == [None, None, None]:
            return
        raise InputError(f"contains a NumPy type with byte order {shown(order)} or fields: refused")
    raise InputError(f"sets the state of a {type(target).__name__}: refused")


def _is_storage(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.flags.c_contiguous


def _sizes(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(whole(length, 0, 2**62) for length in value)


_NUMPY = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"}
_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
NAMES: dict[str, Any] = {
    "torch._utils _rebuild_tensor": Constructor(tensor),
    "torch._utils _rebuild_tensor_v2": Constructor(tensor),
    "torch._utils _rebuild_tensor_v3": Constructor(tensor_of_kind),
    "torch._utils _rebuild_parameter": Constructor(parameter),
    "torch Size": Constructor(size),
    "torch device": Constructor(device),
    **{f"torch {name}Storage": StorageKind(DTYPES[dtype]) for name, dtype in _STORAGES.items()},
    "torch UntypedStorage": StorageKind(DTYPES["uint8"]),
    "torch.storage UntypedStorage": StorageKind(DTYPES["uint8"]),
    **{f"torch {name}": dtype for name, dtype in DTYPES.items()},
    "collections OrderedDict": Constructor(mapping),
    "collections Counter": Constructor(mapping),
    **{
        f"{module} {name}": Constructor(build)
        for module in ("builtins", "__builtin__")
        for name, build in (
            ("set", lambda values=(): set(require_keys(values))),
            ("frozenset", lambda values=(): frozenset(require_keys(values))),
            ("complex", lambda real, imaginary: complex(float(real), float(imaginary))),
            ("bytes", lambda: b""),
        )
    },
    "_codecs encode": Constructor(encoded),
    "numpy dtype": Constructor(numpy_dtype),
    "numpy.core.multiarray scalar": Constructor(numpy_scalar),
    "numpy._core.multiarray scalar": Constructor(numpy_scalar),
}
"""What a PyTorch file may name, and what each name stands for."""
