"""Symmetries of the data: maps of images that move numbers and change none."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.pytree import in_one_line
from sde_jax.training.augmentation.augmentation import require_image
from sde_jax.typing import Array, Key


@in_one_line
class Element(NamedTuple):
    """One map: mirrored left to right and up to down (0 or 1), then quarter turns counterclockwise (0 ... 3), then
    shifted by [2] pixels down and right, what leaves at one edge entering at the other."""

    left_right: Array
    up_down: Array
    turns: Array
    shift: Array


@dataclass(frozen=True)
class Symmetry:
    """Maps g, drawn evenly, that take clean example and noise together: of x_t the network sees g x_t, and is to say
    g x_0.

    g permutes pixels, and the law of white noise is invariant: g x_t is the noisy g x_0 under another draw of the
    noise. A loss whose denoiser commutes with g is the same with and without it, and so is the least loss where the
    law of the data is invariant. Of other data the law of all g x_0 is learned: the network is told nothing.

    left_right, up_down: mirrored with probability 1/2; turns: by quarter turns, of square images; shift: up to so many
    pixels either way, cyclically. Raises `InputError` unless shift is a whole number of 0 or more.
    """

    left_right: bool = False
    up_down: bool = False
    turns: bool = False
    shift: int = 0

    def __post_init__(self):
        if not whole(self.shift, 0):
            raise InputError(f"{self}: expected shift of 0 or more, whole pixels")

    def __bool__(self) -> bool:
        """Whether there is any map but the one that does nothing."""
        return bool(self.left_right or self.up_down or self.turns or self.shift)

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` where examples of `shape` have no such maps."""
        if self:
            require_image(shape, "symmetry", self.turns)

    def draw(self, key: Key) -> Element:
        """Return a map."""
        first, second, third, last = jax.random.split(key, 4)
        at_most = lambda key, most, allowed: jax.random.randint(key, (), 0, most + 1) * allowed  # noqa: E731
        return Element(
            at_most(first, 1, self.left_right),
            at_most(second, 1, self.up_down),
            at_most(third, 3, self.turns),
            jax.random.randint(last, (2,), -self.shift, self.shift + 1),
        )

    def act(self, g: Element, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return g x."""
        x = jnp.where(g.left_right == 1, x[:, ::-1], x)
        x = jnp.where(g.up_down == 1, x[::-1], x)
        if self.turns:
            x = jnp.where(g.turns % 2 == 1, jnp.rot90(x), x)
            x = jnp.where(g.turns >= 2, x[::-1, ::-1], x)
        return jnp.roll(x, g.shift, (0, 1)) if self.shift else x
