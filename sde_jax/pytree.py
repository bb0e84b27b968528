"""Frozen dataclasses that are pytrees of their numbers, and what is known of such numbers."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError, takes_components

Class = TypeVar("Class", bound=type)


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that is no leaf: something hashable that programs are compiled for."""
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def component(cls: Class) -> Class:
    """Make a class a frozen dataclass whose fields, but for `static` ones, are the leaves of a pytree.

    The decorator of every path, of every part of one, and of every measurement.
    """
    cls = takes_components(dataclasses.dataclass(frozen=True, repr=False)(cls))
    if cls.__repr__ is object.__repr__:
        setattr(cls, "__repr__", one_line)  # noqa: B010
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields if not field.metadata.get("static")]
    fixed = [field.name for field in fields if field.metadata.get("static")]

    def rebuilt(values: tuple[Any, ...], leaves: Iterable[Any]) -> Any:
        # Not by its constructor: leaves may be tracers or placeholders, which no check could read.
        made = object.__new__(cls)
        for name, value in zip(names + fixed, (*leaves, *values), strict=True):
            object.__setattr__(made, name, value)
        return made

    # Not jax.tree_util.register_dataclass, whose classes compare equal as tree structures where they have equally many
    # fields (jaxlib 0.10.2): a compiled function would then, now and then, run one class's program on another.
    jax.tree_util.register_pytree_with_keys(
        cls,
        lambda value: (
            [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in names],
            tuple(getattr(value, name) for name in fixed),
        ),
        rebuilt,
    )
    return cls


def known(*values: object) -> bool:
    """Return whether every value is a plain number, which alone can be checked at construction: no tracer, no array."""
    return all(isinstance(value, int | float) for value in values)


def concrete(value: Any) -> bool:
    """Return whether no leaf of a pytree is a tracer, so that its numbers can be looked at."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))


def holds(condition: Callable[..., Any], *values: Any) -> bool:
    """Return whether a condition holds of numbers; True where one is traced, of which nothing can be known.

    It is given NumPy's arrays in the place of JAX's: inside a transformation what jax.numpy makes of a number that is
    known is traced all the same.
    """
    if not concrete(values):
        return True
    return bool(np.all(condition(*(np.asarray(value) if isinstance(value, jax.Array) else value for value in values))))


def function(of: Callable) -> Callable:
    """Return a function as a pytree: of its own leaves where it is one already, otherwise of none."""
    if not callable(of):
        raise InputError(f"got {of!r}: expected a function")
    return of if jax.tree.structure(of) != jax.tree.structure(0) else jax.tree_util.Partial(of)


def in_one_line(cls: Class) -> Class:
    """Make a named tuple or a dataclass that holds arrays be shown as `one_line` says."""
    setattr(cls, "__repr__", one_line)  # noqa: B010
    return cls


def one_line(value: Any) -> str:
    """Return `Class(field=..., ...)` of a named tuple or a dataclass: what its arrays are, not their numbers.

    An array is its type and shape, a single number itself.
    """
    fields = getattr(value, "_fields", None) or [f.name for f in dataclasses.fields(value) if f.repr]
    return f"{type(value).__qualname__}({', '.join(f'{name}={_short(getattr(value, name))}' for name in fields)})"


def _short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if value.shape or not isinstance(value, jax.Array | np.generic | np.ndarray) or not _readable(value):
            return f"{value.dtype}{list(value.shape)}"
        return f"{value.item():.6g}" if np.issubdtype(value.dtype, np.inexact) else str(value.item())
    leaves = jax.tree.leaves(value) if isinstance(value, dict | list | tuple | jax.tree_util.Partial) else []
    arrays = [leaf for leaf in leaves if hasattr(leaf, "shape")]
    if isinstance(value, jax.tree_util.Partial):
        return f"<{getattr(value.func, '__name__', type(value.func).__name__)}>"
    if arrays and (isinstance(value, dict) or len(arrays) > 4):
        return f"<{len(arrays)} arrays of {sum(int(np.prod(a.shape)) for a in arrays):,} numbers>"
    if arrays and not hasattr(value, "_fields"):
        return f"({', '.join(map(_short, value))})"
    text = repr(value)
    return f"<{type(value).__name__}>" if "\n" in text else text


def _readable(value: Any) -> bool:
    return concrete(value) and not jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
