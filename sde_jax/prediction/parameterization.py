"""What a network predicts: x0hat = c_skip x + c_out F(c_in x, c_noise), and epshat = e_skip x + e_out F with it."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.prediction.label import Label, LogNoise, ScaledTime
from sde_jax.pytree import holds, in_one_line
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time


@in_one_line
class Coefficients(NamedTuple):
    """The four scalars of a parameterisation at one time (Karras et al. 2022, eq. 7).

    noise_estimate: (e_skip, e_out) = ((1 - alpha c_skip) / sigma, -alpha c_out / sigma), written so that nothing is
    subtracted; None where only the difference x - alpha x0hat tells the noise.
    """

    skip: Array
    out: Array
    scale_in: Array
    noise: Time
    noise_estimate: tuple[Array, Array] | None = None


class Parameterization(Protocol):
    """The meaning of a network's output F, as the four scalars that turn it into a denoiser."""

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (c_skip, c_out, c_in, c_noise) at time t."""
        ...


@dataclass(frozen=True)
class Epsilon:
    """F predicts the noise: x0hat = (x - sigma F) / alpha (Ho et al. 2020, eq. 11 ff.); score = -F / sigma."""

    label: Label = field(default_factory=ScaledTime)

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (1/alpha, -sigma/alpha, 1, label), and (0, 1) for the noise."""
        alpha, zero, one = sde.alpha(t), *_zero_and_one(sde, t)
        return Coefficients(1 / alpha, -sde.sigma(t) / alpha, one, self.label.at(sde, t), (zero, one))


@dataclass(frozen=True)
class X0:
    """F predicts the clean example: x0hat = F."""

    label: Label = field(default_factory=ScaledTime)

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (0, 1, 1, label)."""
        zero, one = _zero_and_one(sde, t)
        return Coefficients(zero, one, one, self.label.at(sde, t))


@dataclass(frozen=True)
class V:
    """F predicts the velocity v = cos(phi) eps - sin(phi) x0, tan(phi) = sigma / alpha (Salimans & Ho 2022).

    The network sees x / sqrt(alpha^2 + sigma^2), which for VP is x itself: x0hat = alpha x - sigma F.
    """

    label: Label = field(default_factory=ScaledTime)

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (alpha / r^2, -sigma / r, 1 / r, label) with r^2 = alpha^2 + sigma^2; (sigma / r^2, alpha / r)."""
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        r = jnp.hypot(alpha, sigma)
        return Coefficients(
            alpha / r**2, -sigma / r, 1 / r, self.label.at(sde, t), noise_estimate=(sigma / r**2, alpha / r)
        )


@dataclass(frozen=True)
class Velocity:
    """F predicts alpha' x0 + sigma' eps, the velocity of x - b (Lipman et al. 2023; Liu et al. 2023).

    x0hat = (sigma' (x - b) - sigma F) / (alpha sigma' - alpha' sigma), which on the straight path, alpha = 1 - t and
    sigma = t, is x - t F: finite where alpha = 0. The denominator is -alpha sigma lambda', positive on every path.
    """

    label: Label = field(default_factory=ScaledTime)

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (sigma' / d, -sigma / d, 1, label), d = alpha sigma' - alpha' sigma; (-alpha' / d, alpha / d).

        Where sigma = 0 the limit (1/alpha, 0) is written out, since sigma' may be infinite there.
        """
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        stretch, growth = sde.speeds(t)
        d = alpha * growth - stretch * sigma
        clean = sigma == 0
        skip, out = jnp.where(clean, jnp.reciprocal(alpha), growth / d), jnp.where(clean, 0.0, -sigma / d)
        one, label = jnp.ones_like(alpha), self.label.at(sde, t)
        return Coefficients(skip, out, one, label, noise_estimate=(-stretch / d, alpha / d))


@dataclass(frozen=True)
class ScoreFunction:
    """F predicts the score: x0hat = (x + sigma^2 F) / alpha (Song et al. 2021, eq. 7)."""

    label: Label = field(default_factory=ScaledTime)

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return (1/alpha, sigma^2/alpha, 1, label), and (0, -sigma) for the noise."""
        alpha, zero, one = sde.alpha(t), *_zero_and_one(sde, t)
        label, noise = self.label.at(sde, t), (zero, -sde.sigma(t))
        return Coefficients(1 / alpha, sde.variance(t) / alpha, one, label, noise)


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
        if not all(holds(lambda number: number > 0, number) for number in (self.sigma_data, self.noise_scale)):
            raise InputError(f"{self}: expected sigma_data > 0 and noise_scale > 0")

    def coefficients(self, sde: GaussianPath, t: Time) -> Coefficients:
        """Return the four scalars of the class's formula, written so that alpha may be 0, and those of the noise.

        With n^2 = sigma^2 + alpha^2 sd^2: (alpha sd^2 / n^2, sigma sd / n, 1 / n, label); (sigma / n^2, -alpha sd / n).
        """
        alpha, sigma, sd = sde.alpha(t), sde.sigma(t), self.sigma_data
        n = jnp.hypot(sigma, alpha * sd)
        label, noise = LogNoise(self.noise_scale).at(sde, t), (sigma / n**2, -alpha * sd / n)
        return Coefficients(alpha * (sd / n) ** 2, sigma * sd / n, 1 / n, label, noise)


def _zero_and_one(sde: GaussianPath, t: Time) -> tuple[Array, Array]:
    one = jnp.ones_like(sde.alpha(t))
    return jnp.zeros_like(one), one
