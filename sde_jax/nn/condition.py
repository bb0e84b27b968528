"""What a network is conditioned on, and the null token that says: on nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.layers import dense
from sde_jax.typing import Array


class Conditioning(nnx.Module):
    """How one network hears its condition, a pytree of arrays; this one hears none.

    channels: how many `join` appends; embeds: whether `embed` adds anything. A condition of None is the null token,
    and so is the value `Condition.null`, which can be chosen within a compiled program: `jnp.where(dropped, null,
    condition)`.
    """

    channels = 0
    embeds = False

    def embed(self, condition: Any) -> Array | float:
        """Return what to add to the embedding of the noise label."""
        if condition is not None:
            raise InputError("a condition is given to a network without one: expected none, or another `condition`")
        return 0.0

    def join(self, x: Array, condition: Any) -> Array:
        """Return x with the condition's channels appended."""
        return x


Facts = Mapping[str, Array]
"""What is known of an example, by name: `label` [] int32, -1 for none; `augmentation` [k], what was done to it; ..."""


class Condition(Protocol):
    """The kind of a condition, as a run's configuration names it."""

    def null(self, shape: tuple[int, ...]) -> Any:
        """Return the null token for examples of `shape`, whose shape and dtype are every condition's."""
        ...

    def hears(self) -> Mapping[str, "Condition"]:
        """Return the kinds of condition that the facts of an example become, by the names of these."""
        ...

    def of(self, facts: Facts, shape: tuple[int, ...]) -> Any:
        """Return the condition of an example of `shape`, null where its fact is not among `facts`."""
        ...

    def conditioning(self, shape: tuple[int, ...], features: int, *, rngs: nnx.Rngs) -> Conditioning:
        """Return the part of a network for examples of `shape` that embeds the condition in `features` numbers."""
        ...


def check_condition(condition: Array | None, null: np.ndarray) -> None:
    """Raise `InputError` unless a condition has the shape and the kind of number of the null token."""
    if condition is None:
        return
    kind = jnp.integer if np.issubdtype(null.dtype, np.integer) else jnp.floating
    expected = f"expected shape {null.shape}, {kind.__name__} numbers; lift the call over a batch with jax.vmap"
    try:
        found, shape = jnp.result_type(condition), jnp.shape(condition)
    except TypeError:
        raise InputError(f"condition is {condition!r:.40}, no array: {expected}") from None
    if shape != null.shape or not jnp.issubdtype(found, kind):
        raise InputError(f"condition of shape {shape}, {found}: {expected}")


@dataclass(frozen=True)
class Unconditional:
    """No condition."""

    def null(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an empty vector."""
        return np.zeros(0, np.float32)

    def hears(self) -> Mapping[str, Condition]:
        """Return nothing."""
        return {}

    def of(self, facts: Facts, shape: tuple[int, ...]) -> None:
        """Return None, whatever is known."""
        return None

    def conditioning(self, shape: tuple[int, ...], features: int, *, rngs: nnx.Rngs) -> Conditioning:
        """Return the part that hears nothing."""
        return Conditioning()


def condition_of(architecture: Any) -> Condition:
    """Return what an architecture is conditioned on: its `condition`, of one without it nothing."""
    return getattr(architecture, "condition", Unconditional())


@dataclass(frozen=True)
class ClassLabel:
    """One of `classes` classes, 0 ... classes - 1, int32 []; `classes` itself is the null token (Ho & Salimans 2022).

    Each has a vector, which is added to the embedding of the noise label. Raises `InputError` unless classes >= 1.
    """

    classes: int

    def __post_init__(self):
        if not whole(self.classes, 1):
            raise InputError(f"{self}: expected classes >= 1, a whole number")

    def null(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the number after the last class."""
        return np.asarray(self.classes, np.int32)

    def hears(self) -> Mapping[str, Condition]:
        """Return itself as `label`."""
        return {"label": self}

    def of(self, facts: Facts, shape: tuple[int, ...]) -> Array:
        """Return the label, the null token for -1."""
        label = jnp.asarray(facts.get("label", -1), jnp.int32)
        return jnp.where(label < 0, self.classes, label)

    def conditioning(self, shape: tuple[int, ...], features: int, *, rngs: nnx.Rngs) -> Conditioning:
        """Return the table of vectors."""
        return _ClassTable(self, features, rngs)


class _ClassTable(Conditioning):
    embeds = True

    def __init__(self, kind: ClassLabel, features: int, rngs: nnx.Rngs):
        self.kind = kind
        self.table = nnx.Param(jax.random.normal(rngs.params(), (kind.classes + 1, features)))

    def embed(self, condition: Array | None) -> Array:
        null = self.kind.null(())
        check_condition(condition, null)
        return self.table[...][jnp.asarray(null if condition is None else condition)]


@dataclass(frozen=True)
class Vector:
    """`size` numbers, float [size], each of which may be NaN: not given. All NaN is the null token.

    v enters as W [v where given, 0; given] + b, added to the embedding of the noise label. Raises `InputError` unless
    size >= 1.
    """

    size: int

    def __post_init__(self):
        if not whole(self.size, 1):
            raise InputError(f"{self}: expected size >= 1, a whole number")

    def null(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return `size` times NaN."""
        return np.full(self.size, np.nan, np.float32)

    def hears(self) -> Mapping[str, Condition]:
        """Return itself as `augmentation`."""
        return {"augmentation": self}

    def of(self, facts: Facts, shape: tuple[int, ...]) -> Array:
        """Return the numbers of the augmentation."""
        return jnp.asarray(facts.get("augmentation", self.null(shape)))

    def conditioning(self, shape: tuple[int, ...], features: int, *, rngs: nnx.Rngs) -> Conditioning:
        """Return the linear map."""
        return _Linear(self, features, rngs)


class _Linear(Conditioning):
    embeds = True

    def __init__(self, kind: Vector, features: int, rngs: nnx.Rngs):
        self.kind = kind
        self.map = dense(2 * kind.size, features, rngs=rngs)

    def embed(self, condition: Array | None) -> Array:
        null = self.kind.null(())
        check_condition(condition, null)
        return self.map(_given(jnp.asarray(null if condition is None else condition)))


@dataclass(frozen=True)
class Channels:
    """An array of the example's height and width with `count` channels, float [h, w, count]; NaN: not given.

    What is given, with 0 elsewhere, and where it is given are appended to the example as 2 `count` channels: for
    masks, low resolutions, measurements. All NaN is the null token. Raises `InputError` unless count >= 1.
    """

    count: int

    def __post_init__(self):
        if not whole(self.count, 1):
            raise InputError(f"{self}: expected count >= 1, a whole number")

    def null(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of NaN."""
        return np.full((*shape[:-1], self.count), np.nan, np.float32)

    def hears(self) -> Mapping[str, Condition]:
        """Return itself as `channels`."""
        return {"channels": self}

    def of(self, facts: Facts, shape: tuple[int, ...]) -> Array:
        """Return the channels."""
        return jnp.asarray(facts.get("channels", self.null(shape)))

    def conditioning(self, shape: tuple[int, ...], features: int, *, rngs: nnx.Rngs) -> Conditioning:
        """Return the part that appends."""
        return _Appended(self)


class _Appended(Conditioning):
    def __init__(self, kind: Channels):
        self.kind = kind
        self.channels = 2 * kind.count

    def embed(self, condition: Array | None) -> float:
        return 0.0

    def join(self, x: Array, condition: Array | None) -> Array:
        null = self.kind.null(x.shape)
        check_condition(condition, null)
        given = _given(jnp.asarray(null if condition is None else condition))
        return jnp.concatenate([x, given.astype(x.dtype)], axis=-1)


def _given(values: Array) -> Array:
    missing = jnp.isnan(values)
    return jnp.concatenate([jnp.where(missing, 0, values), ~missing], axis=-1)
