"""Bijections between data and the coordinates in which a path is Gaussian."""

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.checks import require
from sde_jax.errors import InputError
from sde_jax.pytree import concrete, known
from sde_jax.sde.path import path
from sde_jax.typing import Array


class Bijection(Protocol):
    """A smooth invertible map of one example of the data."""

    def forward(self, data: Array) -> Array:
        """Return the x_0 that stands for the data."""
        ...

    def inverse(self, x0: Array) -> Array:
        """Return the data that x_0 stands for."""
        ...

    def log_volume(self, data: Array) -> Float[Array, ""]:
        """Return log |det d forward / d data|, in nats."""
        ...


@path
class Log:
    """x_0 = log(data), for positive data. `forward` raises `InputError` where data is not positive."""

    def forward(self, data: Array) -> Array:
        """Return log(data)."""
        return jnp.log(_within(data, 0.0, jnp.inf, "add an offset to all of the data"))

    def inverse(self, x0: Array) -> Array:
        """Return exp(x0)."""
        return jnp.exp(x0)

    def log_volume(self, data: Array) -> Float[Array, ""]:
        """Return -sum log(data)."""
        return -jnp.sum(jnp.log(data))


@path
class Logit:
    """x_0 = log(u / (1 - u)) with u = (data - low) / (high - low), for data between two bounds.

    `forward` raises `InputError` where data is not strictly between them. Raises `InputError` unless low < high.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        if known(self.low, self.high) and not -float("inf") < self.low < self.high < float("inf"):
            raise InputError(f"{self}: expected low < high, both finite")

    def forward(self, data: Array) -> Array:
        """Return log(data - low) - log(high - data)."""
        data = _within(data, self.low, self.high, "clip the data, or widen the bounds")
        return jnp.log(data - self.low) - jnp.log(self.high - data)

    def inverse(self, x0: Array) -> Array:
        """Return low + (high - low) / (1 + exp(-x0))."""
        return self.low + (self.high - self.low) * jax.nn.sigmoid(x0)

    def log_volume(self, data: Array) -> Float[Array, ""]:
        """Return sum log((high - low) / ((data - low)(high - data)))."""
        return jnp.sum(jnp.log(self.high - self.low) - jnp.log(data - self.low) - jnp.log(self.high - data))


@path
class Affine:
    """x_0 = scale data + shift, numbers or arrays that broadcast against the data.

    Raises `InputError` unless scale is not 0.
    """

    scale: Array | float = 1.0
    shift: Array | float = 0.0

    def __post_init__(self):
        if not concrete(self):
            return
        finite = np.all(np.isfinite(np.asarray(self.scale))) and np.all(np.isfinite(np.asarray(self.shift)))
        if not (finite and np.all(np.asarray(self.scale) != 0)):
            raise InputError(f"{self}: expected a finite scale that is not 0, and a finite shift")

    def forward(self, data: Array) -> Array:
        """Return scale data + shift."""
        return self.scale * data + self.shift

    def inverse(self, x0: Array) -> Array:
        """Return (x0 - shift) / scale."""
        return (x0 - self.shift) / self.scale

    def log_volume(self, data: Array) -> Float[Array, ""]:
        """Return sum log |scale| over the numbers of the data."""
        return jnp.sum(jnp.broadcast_to(jnp.log(jnp.abs(self.scale)), jnp.shape(data)))


def _within(data: Array, low: float, high: float, remedy: str) -> Array:
    """Return the data; raise, now or within a transformation when it is computed, unless low < data < high."""
    if not concrete((data, low, high)):
        return require(data, (data > low) & (data < high), f"data outside the domain of the bijection: {remedy}")
    values = np.asarray(data)
    if not np.all((values > low) & (values < high)):
        least, most = np.min(values), np.max(values)
        raise InputError(
            f"data from {least:g} to {most:g}: expected numbers between {low:g} and {high:g}, without the ends; "
            + remedy
            + (f" (above {low - least:g})" if high == np.inf else "")
        )
    return data
