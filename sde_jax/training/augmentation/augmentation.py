"""What an augmentation is."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.typing import Array, Key


class Augmentation(Protocol):
    """Clean examples changed at random before noise is added, and told: the network hears what was done.

    As the network learns p(x_0 | what was done), nothing of it leaks into samples, which are drawn for "nothing": a
    vector of zeros (Karras et al. 2020, 2022).
    """

    @property
    def size(self) -> int:
        """The numbers that the network is told, 0 for none."""
        ...

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` where examples of `shape` cannot be augmented."""
        ...

    def augmented(self, key: Key, x0: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, " size"]]:
        """Return one example, changed, and what was done to it: zeros for nothing."""
        ...


@dataclass(frozen=True)
class NoAugmentation:
    """Examples as they are."""

    @property
    def size(self) -> int:
        """0."""
        return 0

    def require(self, shape: tuple[int, ...]) -> None:
        """Do nothing: all examples can be left as they are."""

    def augmented(self, key: Key, x0: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, " 0"]]:
        """Return the example, and nothing to tell."""
        return x0, jnp.zeros(0, x0.dtype)


def require_image(shape: tuple[int, ...], what: object, square: bool) -> None:
    """Raise `InputError` unless `shape` is (height, width, channels), of equal sides where they are exchanged."""
    if len(shape) != 3 or (square and shape[0] != shape[1]):
        expected = "height and width alike, which quarter turns exchange" if len(shape) == 3 else "images"
        raise InputError(f"{what} of examples of shape {tuple(shape)}: expected {expected}")
