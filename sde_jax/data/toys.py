"""Distributions in the plane, drawn anew for every seed: seconds to train on, and to see what a sampler does."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import i0e, logsumexp
from numpy.typing import ArrayLike

from sde_jax.data.rows import Rows, standardisation
from sde_jax.data.sources import Splits
from sde_jax.errors import InputError, whole
from sde_jax.typing import Array


@dataclass(frozen=True)
class Toy(ABC):
    """Points [2] float32 of a distribution in the plane: `num_train` to train on and `num_held_out` independent others.

    Both depend on `seed` alone, and neither on the other's number. x_0 is standardised by the points to train on.
    """

    num_train: int = 10_000
    num_held_out: int = 2_000
    seed: int = 0

    def __post_init__(self):
        if not (whole(self.num_train, 2) and whole(self.num_held_out, 0) and whole(self.seed, 0, 2**32 - 1)):
            raise InputError(
                f"{self}: expected num_train of at least 2, num_held_out of at least 0 and a seed from 0 on"
            )

    @abstractmethod
    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return independent points [count, 2] and the number of the part that each is of [count], -1 without parts."""

    def open(self) -> Splits:
        """`train` and `held_out`, in memory."""
        # RandomState, because numpy froze its numbers for good; those of Generator may change.
        drawn = [
            self.draw(np.random.RandomState([self.seed, stream]), count)
            for stream, count in enumerate((self.num_train, self.num_held_out))
        ]
        train, held_out = (
            Rows(points.astype(np.float32), np.arange(len(points)), parts.astype(np.int32), np.float32)
            for points, parts in drawn
        )
        scaling = standardisation(drawn[0][0].astype(np.float32), np.arange(self.num_train), type(self).__name__)
        return Splits(train, held_out, (2,), None, scaling)


@dataclass(frozen=True)
class GaussianRing(Toy):
    """Equal weights of `components` normal distributions N(R (cos a_k, sin a_k), deviation^2 I), a_k = 2 pi k / K.

    R = `radius`; the label is k.
    """

    components: int = 8
    radius: float = 4.0
    deviation: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        _check(self, whole(self.components, 1), self.radius > 0, self.deviation > 0)

    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points and their k."""
        parts = generator.randint(self.components, size=count)
        angle = 2 * math.pi * parts / self.components
        return _polar(self.radius, angle) + self.deviation * generator.randn(count, 2), parts

    def log_density(self, x: Array) -> Array:
        """Return log p(x) of one x [2] in the data's own units."""
        angle = 2 * jnp.pi * jnp.arange(self.components) / self.components
        means = self.radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        square = jnp.sum((x - means) ** 2, -1) / self.deviation**2
        return logsumexp(-square / 2) - jnp.log(2 * jnp.pi * self.deviation**2 * self.components)


@dataclass(frozen=True)
class Rings(Toy):
    """Equal weights of `circles` about 0, of radii 1, 2, ..., each blurred by N(0, deviation^2 I).

    The label is the number of the circle from inside.
    """

    circles: int = 3
    deviation: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        _check(self, whole(self.circles, 1), self.deviation > 0)

    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points and the number of their circle."""
        parts = generator.randint(self.circles, size=count)
        points = _polar(parts + 1, 2 * math.pi * generator.rand(count))
        return points + self.deviation * generator.randn(count, 2), parts

    def log_density(self, x: Array) -> Array:
        """Return log p(x) of one x [2] in the data's own units.

        Of one circle of radius R, with s the deviation, it is exp(-(|x|^2 + R^2) / 2 s^2) I_0(|x| R / s^2) / 2 pi s^2.
        """
        radius, distance, variance = jnp.arange(1, self.circles + 1), jnp.sqrt(jnp.sum(x**2)), self.deviation**2
        # i0e(z) = exp(-z) I_0(z), with which the exponents make a square.
        parts = jnp.log(i0e(distance * radius / variance)) - (distance - radius) ** 2 / (2 * variance)
        return logsumexp(parts) - jnp.log(2 * jnp.pi * variance * self.circles)


@dataclass(frozen=True)
class Checkerboard(Toy):
    """Uniform on the black of `fields` x `fields` unit squares, a board about 0 whose lower left field is black."""

    fields: int = 4

    def __post_init__(self):
        super().__post_init__()
        _check(self, whole(self.fields, 2))

    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points; there are no parts."""
        row, column = np.divmod(np.arange(self.fields**2), self.fields)
        black = np.stack([column, row], -1)[(row + column) % 2 == 0]
        corners = black[generator.randint(len(black), size=count)]
        return corners + generator.rand(count, 2) - self.fields / 2, np.full(count, -1)

    def log_density(self, x: Array) -> Array:
        """Return log p(x) of one x [2] in the data's own units: -inf on white fields and off the board."""
        field = jnp.floor(x + self.fields / 2)
        black = jnp.all((field >= 0) & (field < self.fields)) & (jnp.sum(field) % 2 == 0)
        return jnp.where(black, -math.log((self.fields**2 + 1) // 2), -jnp.inf)


@dataclass(frozen=True)
class Moons(Toy):
    """Two half circles of radius 1 that interlock, each blurred by N(0, deviation^2 I).

    (cos a, sin a), label 0, and (1 - cos a, 1/2 - sin a), label 1, with a uniform in [0, pi]: those of scikit-learn.
    """

    deviation: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        _check(self, self.deviation >= 0)

    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points and the number of their moon."""
        parts = generator.randint(2, size=count)
        upper = _polar(1.0, math.pi * generator.rand(count))
        moons = np.stack([upper, [1.0, 0.5] - upper])
        return moons[parts, np.arange(count)] + self.deviation * generator.randn(count, 2), parts


@dataclass(frozen=True)
class Spirals(Toy):
    """`arms` spirals r (cos(a + a_k), sin(a + a_k)), a_k = 2 pi k / arms, each blurred by N(0, deviation^2 I).

    Archimedean: r = a / 2 pi, with a from 0 to 2 pi `turns` and a^2 uniform, which puts about as many points on each
    length of an arm. The label is k.
    """

    arms: int = 2
    turns: float = 1.5
    deviation: float = 0.02

    def __post_init__(self):
        super().__post_init__()
        _check(self, whole(self.arms, 1), self.turns > 0, self.deviation >= 0)

    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points and the number of their arm."""
        parts = generator.randint(self.arms, size=count)
        turn = self.turns * np.sqrt(generator.rand(count))
        points = _polar(turn, 2 * math.pi * (turn + parts / self.arms))
        return points + self.deviation * generator.randn(count, 2), parts


@dataclass(frozen=True)
class SwissRoll(Toy):
    """The spiral a (cos a, sin a), a uniform in [3/2 pi, 9/2 pi], blurred by N(0, deviation^2 I).

    The section of scikit-learn's roll; there are no parts.
    """

    deviation: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        _check(self, self.deviation >= 0)

    def draw(self, generator: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points; there are no parts."""
        angle = 1.5 * math.pi * (1 + 2 * generator.rand(count))
        return _polar(angle, angle) + self.deviation * generator.randn(count, 2), np.full(count, -1)


def _polar(radius: ArrayLike, angle: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def _check(toy: Toy, *right: bool) -> None:
    if not all(right):
        raise InputError(f"{toy}: expected at least one part, or two fields, and lengths above 0")
