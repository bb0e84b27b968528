"""Weights w(t) of the squared error of the clean estimate."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError
from sde_jax.pytree import holds
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
        _require_positive(self, "sigma_data")

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return 1 / s^2 + 1 / sd^2."""
        return jnp.exp(2 * sde.log_snr(t)) + self.sigma_data**-2


@dataclass(frozen=True)
class FlowMatching:
    """w = (alpha lambda')^2, which makes the loss |velocity error|^2 (Lipman et al. 2023).

    The velocity is alpha' x0 + sigma' eps, what a network under `Velocity` predicts.
    """

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return (alpha' - alpha sigma' / sigma)^2, which is finite where alpha is 0."""
        stretch, growth = sde.speeds(t)
        return jnp.square(stretch - sde.alpha(t) * growth / sde.sigma(t))


@dataclass(frozen=True)
class MinSNR:
    """w = min(SNR, gamma) with SNR = exp(2 lambda) (Hang et al. 2023, for a network that predicts x0).

    Relative to |epsilon error|^2 it is min(SNR, gamma) / SNR. Raises `InputError` unless gamma > 0.
    """

    gamma: float = 5.0

    def __post_init__(self):
        _require_positive(self, "gamma")

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return min(exp(2 lambda), gamma)."""
        return jnp.minimum(jnp.exp(2 * sde.log_snr(t)), self.gamma)


@dataclass(frozen=True)
class P2:
    """w = SNR / (k + SNR)^gamma with SNR = exp(2 lambda) (Choi et al. 2022).

    Relative to |epsilon error|^2 it is 1 / (k + SNR)^gamma. Raises `InputError` unless k > 0 and gamma >= 0.
    """

    k: float = 1.0
    gamma: float = 1.0

    def __post_init__(self):
        _require_positive(self, "k")
        if not holds(lambda gamma: gamma >= 0, self.gamma):
            raise InputError(f"{self}: expected gamma >= 0")

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return exp(2 lambda) / (k + exp(2 lambda))^gamma."""
        snr = jnp.exp(2 * sde.log_snr(t))
        return snr / (self.k + snr) ** self.gamma


@dataclass(frozen=True)
class Sigmoid:
    """w = SNR sigmoid(bias - log SNR) = exp(bias) sigmoid(log SNR - bias), log SNR = 2 lambda.

    Relative to |epsilon error|^2 it is sigmoid(bias - log SNR), and meant for times uniform in log-SNR, as `Importance`
    and `UniformLogSNR` are (Kingma & Gao 2023; Hoogeboom et al. 2024). Raises `InputError` unless bias is
    finite.
    """

    bias: float = 0.0

    def __post_init__(self):
        if not holds(np.isfinite, self.bias):
            raise InputError(f"{self}: expected a finite bias")

    def weight(self, sde: GaussianPath, t: Time) -> Array:
        """Return exp(bias) sigmoid(2 lambda - bias)."""
        return jnp.exp(jnp.asarray(self.bias, float)) * jax.nn.sigmoid(2 * sde.log_snr(t) - self.bias)


def _require_positive(weighting: Weighting, name: str) -> None:
    if not holds(lambda number: number > 0, getattr(weighting, name)):
        raise InputError(f"{weighting}: expected {name} > 0")
