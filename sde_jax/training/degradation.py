"""What a network learns to restore: clean examples made worse at random, in the step that learns from them."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.typing import Array, Key


class Degradation(Protocol):
    """A degraded version of every example, drawn anew each time, which the network hears as `channels`."""

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` where examples of `shape` cannot be degraded."""
        ...

    def degraded(self, key: Key, x0: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return ONE example made worse, of its shape and in its units; NaN where it is not known."""
        ...


@dataclass(frozen=True)
class NoDegradation:
    """Nothing is degraded, and nothing told of it."""

    def require(self, shape: tuple[int, ...]) -> None:
        """Do nothing."""

    def degraded(self, key: Key, x0: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the example."""
        return x0


@dataclass(frozen=True)
class Corruption:
    """Images [h, w, c] blurred, then noised, then hidden in part.

    blur: deviation in pixels of a Gaussian, beyond the edge of an image its edge goes on; noise: deviation of Gaussian
    noise, in the units of x_0; hidden: share of pixels, each by itself, that are not known: NaN in all channels. Raises
    `InputError` unless blur, noise >= 0 and 0 <= hidden < 1.
    """

    blur: float = 0.0
    noise: float = 0.0
    hidden: float = 0.0

    def __post_init__(self):
        if not (0 <= self.blur < np.inf and 0 <= self.noise < np.inf and 0 <= self.hidden < 1):
            raise InputError(f"{self}: expected blur >= 0 in pixels, noise >= 0 and 0 <= hidden < 1")

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` unless examples are images."""
        if len(shape) != 3:
            raise InputError(f"{self} of examples of shape {tuple(shape)}: expected images [h, w, c]")

    def degraded(self, key: Key, x0: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """Return ONE image made worse."""
        noise, hidden = jax.random.split(key)
        down, across = (_smoothing(n, self.blur) for n in x0.shape[:2])
        x = jnp.einsum("ih,jw,hwc->ijc", down, across, x0) if self.blur else x0
        x = x + self.noise * jax.random.normal(noise, x0.shape, x0.dtype)
        return jnp.where(jax.random.bernoulli(hidden, self.hidden, (*x0.shape[:2], 1)), jnp.nan, x)


def _smoothing(n: int, deviation: float) -> Float[np.ndarray, "n n"]:
    """Return the matrix of the blur of n pixels: Gaussian weights of sum 1, those beyond an edge at its pixel."""
    reach = int(np.ceil(4 * deviation))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / max(deviation, 1e-9)) ** 2)
    matrix = np.zeros((n, n))
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        np.add.at(matrix, (np.arange(n), np.clip(np.arange(n) + offset, 0, n - 1)), weight)
    return matrix
