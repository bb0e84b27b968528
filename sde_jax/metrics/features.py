"""Features of examples, and the plainest of them: the numbers themselves."""

import math
from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Float, Shaped

from sde_jax.errors import InputError, whole
from sde_jax.typing import Array


class Extractor(Protocol):
    """A function of n examples that can be traced by `jax.jit`, and what must be known to compare its results."""

    @property
    def name(self) -> str:
        """What computes the features, with the checksum of its weights."""
        ...

    @property
    def protocol(self) -> str:
        """How examples are brought to the size and range that the extractor takes, in words."""
        ...

    @property
    def comparable(self) -> bool:
        """Whether a Fréchet distance of these features can be compared with published FIDs."""
        ...

    @property
    def size(self) -> int:
        """d, the number of features."""
        ...

    def __call__(self, data: Shaped[Array, "n ..."]) -> tuple[Float[Array, "n d"], Float[Array, "n k"] | None]:
        """Return features and logits (None: there are none) of n examples as the source of the data gives them."""
        ...


class Features(Protocol):
    """A frozen dataclass that says which features are computed."""

    def open(self, shape: tuple[int, ...], levels: int | None) -> Extractor:
        """Return the extractor for examples of a shape with `levels` levels, None for real numbers.

        Raises `InputError` where there can be none for these, or its weights cannot be read.
        """
        ...


@dataclass(frozen=True)
class Raw:
    """The numbers of an example, in the data's own units. The choice for low dimensions."""

    def open(self, shape: tuple[int, ...], levels: int | None) -> "Flattened":
        """Return the extractor. Raises `InputError` unless `shape` is one or more sizes of 1 or more."""
        return Flattened(tuple(shape))


@dataclass(frozen=True)
class Flattened:
    """Examples of `shape` as rows of float32 numbers, and no logits."""

    shape: tuple[int, ...]
    name = "raw"
    protocol = "the numbers as the data set gives them, flattened"
    comparable = False

    def __post_init__(self):
        if not self.shape or not all(whole(size, 1) for size in self.shape):
            raise InputError(
                f"examples of shape {self.shape} have no features; expected one or more sizes of 1 or more"
            )

    @property
    def size(self) -> int:
        """The number of numbers in an example."""
        return math.prod(self.shape)

    def __call__(self, data: Shaped[Array, "n ..."]) -> tuple[Float[Array, "n d"], None]:
        """Return [n, d] float32 and None. Raises `InputError` for examples of another shape."""
        if data.shape[1:] != self.shape:
            raise InputError(
                f"examples have the shape {data.shape[1:]}; expected {self.shape}, with which Raw was opened"
            )
        return jnp.reshape(data, (len(data), self.size)).astype(jnp.float32), None
