"""What a network predicts: x0hat = c_skip x + c_out F(c_in x, c_noise)."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time

LABEL_SCALE = 999.0
"""The official networks are told 999 t (Song et al. 2021, their code): DDPM's labels 0 ... 999."""


class Coefficients(NamedTuple):
    """The four scalars of a parameterisation at one time (Karras et al. 2022, eq. 7)."""

    skip: Array
    out: Array
    scale_in: Array
    noise: Time


class Parameterization(Protocol):
    """The meaning of a network's output F, as the four scalars that turn it into a denoiser."""

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (c_skip, c_out, c_in, c_noise) at time t."""
        ...


@dataclass(frozen=True)
class Epsilon:
    """F predicts the noise: x0hat = (x - sigma F) / alpha (Ho et al. 2020, eq. 11 ff.); score = -F / sigma."""

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (1/alpha, -sigma/alpha, 1, 999 t)."""
        alpha = sde.alpha(t)
        return Coefficients(1 / alpha, -sde.sigma(t) / alpha, jnp.ones_like(alpha), LABEL_SCALE * t)


@dataclass(frozen=True)
class X0:
    """F predicts the clean example: x0hat = F."""

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (0, 1, 1, 999 t)."""
        one = jnp.ones_like(sde.alpha(t))
        return Coefficients(jnp.zeros_like(one), one, one, LABEL_SCALE * t)


@dataclass(frozen=True)
class V:
    """F predicts the velocity v = cos(phi) eps - sin(phi) x0, tan(phi) = sigma / alpha (Salimans & Ho 2022).

    The network sees x / sqrt(alpha^2 + sigma^2), which for VP is x itself: x0hat = alpha x - sigma F.
    """

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (alpha / r^2, -sigma / r, 1 / r, 999 t) with r^2 = alpha^2 + sigma^2."""
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        r = jnp.hypot(alpha, sigma)
        return Coefficients(alpha / r**2, -sigma / r, 1 / r, LABEL_SCALE * t)


@dataclass(frozen=True)
class ScoreFunction:
    """F predicts the score: x0hat = (x + sigma^2 F) / alpha (Song et al. 2021, eq. 7)."""

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (1/alpha, sigma^2/alpha, 1, 999 t)."""
        alpha = sde.alpha(t)
        return Coefficients(1 / alpha, sde.variance(t) / alpha, jnp.ones_like(alpha), LABEL_SCALE * t)


@dataclass(frozen=True)
class EDM:
    """The preconditioning of Karras et al. 2022 (table 1), on any path: with y = x / alpha and s = sigma / alpha,

    x0hat = sd^2 / (s^2 + sd^2) y + s sd / sqrt(s^2 + sd^2) F(y / sqrt(s^2 + sd^2), noise_scale log(s) / 4),

    under which input and target of F have unit variance at every t for data of standard deviation sd = `sigma_data`.
    Raises `InputError` unless sigma_data > 0.
    """

    sigma_data: float = 0.5
    noise_scale: float = 1.0

    def __post_init__(self):
        if not (self.sigma_data > 0 and self.noise_scale > 0):
            raise InputError(f"{self}: expected sigma_data > 0 and noise_scale > 0")

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return the four scalars of the class's formula."""
        alpha, s = sde.alpha(t), jnp.exp(-sde.log_snr(t))
        total = s**2 + self.sigma_data**2
        root = jnp.sqrt(total)
        label = -self.noise_scale * sde.log_snr(t) / 4
        return Coefficients(self.sigma_data**2 / (total * alpha), s * self.sigma_data / root, 1 / (alpha * root), label)
