"""From integers to the continuum."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import ArrayLike, Float, Int

from sde_jax.checks import finite, require
from sde_jax.errors import InputError, whole
from sde_jax.pytree import concrete, holds
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class Quantization:
    """Integers 0 ... levels - 1 as equal cells of the interval [low, high].

    Level k owns the cell low + [k, k + 1) (high - low) / levels. Raises `InputError` unless levels >= 2, low < high.
    """

    levels: int
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self):
        bounds = self.low, self.high
        between = concrete(bounds) and holds(lambda low, high: -math.inf < low < high < math.inf, *bounds)
        if not (whole(self.levels, 2) and between):
            raise InputError(f"{self}: expected levels >= 2 and low < high, levels whole, bounds finite")

    @property
    def cell(self) -> float:
        """The width of one level's cell."""
        return (self.high - self.low) / self.levels

    @property
    def dtype(self) -> np.dtype:
        """The type of the levels."""
        return np.dtype(np.uint8 if self.levels <= 256 else np.int32)

    @property
    def log2_scale(self) -> float:
        """The binary logarithm of the levels in one unit of x_0."""
        return -math.log2(self.cell)

    def draw(
        self, key: Key, data: Int[ArrayLike, "..."], dequantizer: "Dequantizer | None" = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """Draw x_0 in the cells of the data, uniformly unless told otherwise; return (x_0, log q of its fractions)."""
        u, log_q = (dequantizer or UniformCell()).fractions(key, data)
        return self.place(data, u), log_q

    def values(self, x0: Float[Array, "..."]) -> Int[Array, "..."]:
        """Return the levels that x_0 lie in, as `quantize`."""
        return self.quantize(x0)

    def guarded(self, x0: Float[Array, "..."], data: Int[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Return an x_0 of the data; raises, when the result is computed, for numbers that are no levels."""
        data = self.checked(data)
        return require(
            x0, (data >= 0) & (data <= self.levels - 1), f"an image with numbers that are no levels of {self}"
        )

    def place(self, image: Int[ArrayLike, "..."], u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the points at the fractions u of the cells of an image. Raises `InputError` as `checked` does."""
        return self.low + self.cell * (self.checked(image) + u)

    def checked(self, image: Int[ArrayLike, "..."]) -> Int[Array, "..."]:
        """Return an image; raise `InputError` for other than whole numbers, and for numbers that are no levels.

        Within a transformation there are no values to look at: those pass.
        """
        # Before jax.numpy sees it: inside a transformation its arrays are traced.
        known = np.asarray(image) if concrete(image) else None
        image = jnp.asarray(image)
        if not jnp.issubdtype(image.dtype, jnp.integer):
            raise InputError(f"an image of type {image.dtype}: expected whole numbers from 0 to {self.levels - 1}")
        if known is not None and known.size and not (known.min() >= 0 and known.max() <= self.levels - 1):
            least, most = known.min(), known.max()
            raise InputError(f"an image from {least} to {most}: expected whole numbers from 0 to {self.levels - 1}")
        return image

    def dequantize(self, key: Key, image: Int[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Return a uniform draw from every number's cell (Theis et al. 2016; Song et al. 2021, appendix C)."""
        return self.draw(key, image)[0]

    def quantize(self, x: Float[Array, "..."]) -> Int[Array, "..."]:
        """Return the level whose cell each number lies in; what lies outside the interval goes to its ends.

        Raises, when the result is computed, for NaN.
        """
        x = jnp.asarray(x)
        x = require(x, ~jnp.isnan(x), "quantize: x holds NaN: expected numbers")
        level = jnp.floor((x - self.low) / self.cell)
        return jnp.clip(level, 0, self.levels - 1).astype(self.dtype)


class Dequantizer(Protocol):
    """A distribution q(u | image) of the fractions u in [0, 1] at which an image's numbers lie in their cells.

    For a density p of the continuum with cells of width c, log P(image) >= E_q[log p(x) + n log c - log q(u | image)],
    x = low + c (image + u), with equality where q is p's own distribution within the cell (Ho et al. 2019, eq. 12).
    """

    def fractions(self, key: Key, image: Int[ArrayLike, "..."]) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """Draw u, of the image's shape; return (u, log q(u | image) in nats)."""
        ...


@dataclass(frozen=True)
class UniformCell:
    """u uniform (Theis et al. 2016): log q = 0."""

    def fractions(self, key: Key, image: Int[ArrayLike, "..."]) -> tuple[Array, Array]:
        """Draw u."""
        return jax.random.uniform(key, jnp.shape(jnp.asarray(image)), jnp.result_type(float)), jnp.zeros(())


@dataclass(frozen=True)
class TruncatedNormal:
    """u normal about the middle of the cell, of deviation `scale` cells, cut off at the cell's ends.

    With scale = sigma(start) / (alpha(start) c), the noise that a network has seen there, a model trained at times
    from `start` on needs no training of its own for the data it is scored on (Zheng et al. 2023, section 3.2).
    Raises `InputError` unless scale > 0.
    """

    scale: float = 0.25

    def __post_init__(self):
        if not holds(lambda scale: scale > 0, self.scale):
            raise InputError(f"{self}: expected scale > 0")

    def fractions(self, key: Key, image: Int[ArrayLike, "..."]) -> tuple[Array, Array]:
        """Draw u."""
        half = 0.5 / self.scale
        z = jax.random.truncated_normal(key, -half, half, jnp.shape(jnp.asarray(image)), jnp.result_type(float))
        inside = jnp.log1p(-2 * norm.cdf(-half))
        return 0.5 + self.scale * z, jnp.sum(norm.logpdf(z) - jnp.log(self.scale) - inside)


@dataclass(frozen=True)
class Variational:
    """u from a conditional distribution of the user's, such as a trained flow (Ho et al. 2019).

    `sampler(key, image)` draws u and returns (u, log q(u | image)). Raises `InputError` for a u of another shape
    than the image's; raises, when the result is computed, for a u outside [0, 1] and a log q that is not finite.
    """

    sampler: Callable[[Key, Array], tuple[Array, Array]]

    def fractions(self, key: Key, image: Int[ArrayLike, "..."]) -> tuple[Array, Array]:
        """Draw u."""
        u, log_q = self.sampler(key, jnp.asarray(image))
        if jnp.shape(u) != jnp.shape(image) or jnp.shape(log_q):
            raise InputError(
                f"Variational: u of shape {jnp.shape(u)} and log q of shape {jnp.shape(log_q)} for an image of shape "
                f"{jnp.shape(image)}: expected the image's and ()"
            )
        log_q = finite(jnp.asarray(log_q), "Variational: log q is NaN or infinite: expected a finite number")
        return require(u, (u >= 0) & (u <= 1), "Variational: expected u in [0, 1]"), log_q
