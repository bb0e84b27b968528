"""The non-leaking augmentation of EDM: an affine map of the image, told to the network."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.pytree import in_one_line
from sde_jax.training.augmentation.augmentation import require_image
from sde_jax.training.augmentation.warp import Places, moved, places, read, stretched, turned
from sde_jax.typing import Array, Key


@in_one_line
class Drawn(NamedTuple):
    """The numbers of one map, all zero for none: left_right, up_down 0 or 1; turns 0 ... 3; shift [2], whole pixels
    down and right; scaling; rotation, an angle; anisotropy and its direction, an angle; translation [2]."""

    left_right: Array
    up_down: Array
    turns: Array
    shift: Array
    scaling: Array
    rotation: Array
    anisotropy: Array
    direction: Array
    translation: Array


@dataclass(frozen=True)
class Geometric:
    """Each of these, in this order, with probability `probability` and otherwise left out (Karras et al. 2022, F.2):

        left_right       mirrored with probability 1/2, of all images              told a in {0, 1}
        up_down          a with probability 1/2: turned upside down                told a
        turns            by a quarter turns, a in {0, 1, 2, 3}                     told cos(a pi/2) - 1, sin(a pi/2)
        shift            by whole pixels, evenly up to `shift` of the image        told as parts of the largest, two
        scaling          by 2^(scaling a), a ~ N(0, 1)                             told a
        rotation         by a ~ U(-pi, pi) rotation                                told cos a - 1, sin a
        anisotropy       by 2^(anisotropy a) along phi and its inverse across      told a cos phi, a sin phi
        translation      by `translation` a of the image, a ~ N(0, 1)^2            told a, two

    What is False or 0 is not done and not told: the default tells 9 numbers, as published. Of the map as a whole the
    image is read once, bilinearly, mirrored beyond its edge; mirrors, quarter turns and shifts alone lose nothing.
    Raises `InputError` where a field is out of range, and where nothing is done.
    """

    probability: float = 0.12
    left_right: bool = True
    up_down: bool = True
    turns: bool = False
    shift: float = 0.0
    scaling: float = 0.2
    rotation: float = 1.0
    anisotropy: float = 0.2
    translation: float = 0.125

    def __post_init__(self):
        parts = (self.probability, self.shift, self.rotation)
        sizes = (self.scaling, self.anisotropy, self.translation)
        if not (all(0 <= part <= 1 for part in parts) and all(0 <= size < math.inf for size in sizes) and self.size):
            raise InputError(
                f"{self}: expected probability, shift and rotation in [0, 1], scaling, anisotropy and translation of 0 "
                "or more, and something to do"
            )

    @property
    def size(self) -> int:
        """The numbers that are told."""
        flags = (self.left_right, self.up_down, self.scaling > 0)
        pairs = (self.turns, self.shift > 0, self.rotation > 0, self.anisotropy > 0, self.translation > 0)
        return sum(flags) + 2 * sum(pairs)

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` unless `shape` is (height, width, channels); of equal sides for quarter turns."""
        require_image(shape, "Geometric augmentation", self.turns)

    def augmented(self, key: Key, x0: Float[Array, "h w c"]) -> tuple[Float[Array, "h w c"], Float[Array, " size"]]:
        """Return the image under a map that is drawn, and what is told of it."""
        drawn = self.draw(key, x0.shape)
        return self.mapped(drawn, x0), self.told(drawn, x0.shape).astype(x0.dtype)

    def draw(self, key: Key, shape: tuple[int, ...]) -> Drawn:
        """Return the numbers of a map, zero for what is not done."""
        first, second, third = jax.random.split(key, 3)
        others = (self.up_down, self.turns, self.shift, self.scaling, self.rotation, self.anisotropy, self.translation)
        chances = [1.0 * self.left_right, *(self.probability * (part > 0) for part in others)]
        chosen = jax.random.uniform(first, (8,)) < jnp.array(chances)
        u, z = jax.random.uniform(second, (7,)), jax.random.normal(third, (4,))
        return Drawn(
            left_right=chosen[0] & (u[0] < 0.5),
            up_down=chosen[1] & (u[1] < 0.5),
            turns=chosen[2] * jnp.floor(4 * u[2]).astype(int),
            shift=chosen[3] * jnp.round((2 * u[3:5] - 1) * self.shift * jnp.array(shape[:2])),
            scaling=chosen[4] * z[0],
            rotation=chosen[5] * self.rotation * (2 * u[5] - 1) * math.pi,
            anisotropy=chosen[6] * z[1],
            direction=(2 * u[6] - 1) * math.pi,
            translation=chosen[7] * z[2:],
        )

    def mapped(self, drawn: Drawn, x0: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return the image under a map: read where the map's inverse takes the places of its pixels."""
        height, width, _ = x0.shape
        p = places(height, width)
        down, right = self.translation * drawn.translation
        p = moved(p, -down * height, -right * width)
        wide, across = jnp.cos(drawn.direction), jnp.sin(drawn.direction)
        along = jnp.exp2(self.anisotropy * drawn.anisotropy)
        p = turned(stretched(turned(p, wide, -across), along, 1 / along), wide, across)
        p = turned(p, jnp.cos(drawn.rotation), -jnp.sin(drawn.rotation))
        scale = jnp.exp2(-self.scaling * drawn.scaling)
        p = stretched(p, scale, scale)
        return read(x0, self._without_loss(drawn, p))

    def _without_loss(self, drawn: Drawn, p: Places) -> Places:
        p = moved(p, -drawn.shift[0], -drawn.shift[1])
        p = turned(p, *(quarter.astype(p[0].dtype) for quarter in _quarters(-drawn.turns)))
        return stretched(p, 1 - 2.0 * drawn.up_down, 1 - 2.0 * drawn.left_right)

    def told(self, drawn: Drawn, shape: tuple[int, ...]) -> Float[Array, " size"]:
        """Return what the network is told of a map."""
        largest = jnp.maximum(self.shift, 1e-9) * jnp.array(shape[:2])
        turns, a = _quarters(drawn.turns), drawn.anisotropy
        parts = (
            (self.left_right, drawn.left_right),
            (self.up_down, drawn.up_down),
            (self.turns, turns[0] - 1, turns[1]),
            (self.shift > 0, *(drawn.shift / largest)),
            (self.scaling > 0, drawn.scaling),
            (self.rotation > 0, jnp.cos(drawn.rotation) - 1, jnp.sin(drawn.rotation)),
            (self.anisotropy > 0, a * jnp.cos(drawn.direction), a * jnp.sin(drawn.direction)),
            (self.translation > 0, *drawn.translation),
        )
        return jnp.stack([number for done, *numbers in parts if done for number in numbers])


def _quarters(turns: Array) -> tuple[Array, Array]:
    """Return cosine and sine of quarter turns, exactly."""
    cos = jnp.array([1, 0, -1, 0])
    return cos[turns % 4], cos[(turns - 1) % 4]
