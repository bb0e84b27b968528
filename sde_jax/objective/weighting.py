"""Weights w(t) of the squared error of the clean estimate."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time


class Weighting(Protocol):
    """w(t) in the loss w(t) |x0hat - x0|^2."""

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return w(t)."""
        ...


@dataclass(frozen=True)
class Simple:
    """w = (alpha / sigma)^2, which makes the loss |epshat - eps|^2 (Ho et al. 2020, eq. 14)."""

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return the signal-to-noise ratio."""
        return jnp.exp(2 * sde.log_snr(t))


@dataclass(frozen=True)
class Likelihood:
    """w = g^2 alpha^2 / sigma^4, which makes the loss g^2 |score error|^2 (Song, Durkan, Murray & Ermon 2021, eq. 7).

    With times uniform over the path, half its mean bounds the negative log-likelihood up to a constant.
    """

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return g^2 (alpha / sigma^2)^2."""
        _, g2 = sde.rates(t)
        return g2 * jnp.exp(2 * sde.log_snr(t)) / sde.variance(t)


@dataclass(frozen=True)
class EDMWeighting:
    """w = (s^2 + sd^2) / (s sd)^2 with s = sigma / alpha (Karras et al. 2022, table 1): unit weight for EDM's F.

    sigma_data: sd. Raises `InputError` unless it is positive.
    """

    sigma_data: float = 0.5

    def __post_init__(self):
        if not self.sigma_data > 0:
            raise InputError(f"{self}: expected sigma_data > 0")

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return 1 / s^2 + 1 / sd^2."""
        return jnp.exp(2 * sde.log_snr(t)) + self.sigma_data**-2
