"""Which times a batch is trained at."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Key


class Times(Protocol):
    """A distribution of times in (0, 1]."""

    def draw(self, key: Key, n: int, sde: GaussianPath) -> Float[Array, " n"]:
        """Draw the times of a batch of n examples."""
        ...


def strata(key: Key, n: int) -> Float[Array, " n"]:
    """Return n numbers, each uniform on [0, 1], one in each of n equal strata (Kingma et al. 2021, appendix I.1)."""
    return (jnp.arange(n) + jax.random.uniform(key)) / n


def _check_start(value: "Uniform | UniformLogSNR") -> None:
    if not 0 < value.start < 1:
        raise InputError(f"{value}: expected 0 < start < 1")


@dataclass(frozen=True)
class Uniform:
    """Times uniform on [start, 1] (Song et al. 2021, eq. 7), stratified over the batch.

    Raises `InputError` unless 0 < start < 1.
    """

    start: float = 1e-5

    def __post_init__(self):
        _check_start(self)

    def draw(self, key: Key, n: int, sde: GaussianPath) -> Float[Array, " n"]:
        """Draw n times, in order."""
        return self.start + (1 - self.start) * strata(key, n)


@dataclass(frozen=True)
class UniformLogSNR:
    """Times whose log-SNR is uniform between those of 1 and `start`, stratified over the batch.

    With the weighting `Simple` this is likelihood weighting with importance-sampled times: g^2 |score error|^2 dt =
    -2 |epsilon error|^2 dlambda, without the variance of the weights (Song, Durkan et al. 2021, section 4.3; Kingma
    et al. 2021, eq. 17). Raises `InputError` unless 0 < start < 1.
    """

    start: float = 1e-5

    def __post_init__(self):
        _check_start(self)

    def draw(self, key: Key, n: int, sde: GaussianPath) -> Float[Array, " n"]:
        """Draw n times, in order."""
        low, high = sde.log_snr(1.0), sde.log_snr(self.start)
        return jax.vmap(sde.time_of)(high + (low - high) * strata(key, n))
