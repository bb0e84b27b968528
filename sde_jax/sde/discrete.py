"""The tables of the discrete chains, DDPM and SMLD, as paths."""

import abc

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from sde_jax.errors import InputError, whole
from sde_jax.pytree import concrete, static
from sde_jax.sde.path import GaussianPath, path
from sde_jax.sde.ve import VE
from sde_jax.typing import Array, Time


class Tabulated(abc.ABC):
    """A path that passes through a table of `steps` marginals, the i-th at the time i / (steps - 1)."""

    steps: int

    def __post_init__(self):
        if not whole(self.steps, 2):
            raise InputError(f"{self}: expected a whole number of steps, 2 or more")

    def time(self, index: Int[Array, ""] | int) -> Array:
        """Return the time index / (steps - 1) of a row of the table."""
        return jnp.asarray(index, float) / (self.steps - 1)

    def index(self, t: Time) -> Int[Array, ""]:
        """Return floor(t (steps - 1)), the row in force at t; the inverse of `time` to the last digit."""
        position = jnp.asarray(t, float) * (self.steps - 1)
        # A time is rounded: without the two last digits, the row of `time(i)` would be i - 1 for some i.
        return jnp.floor(position * (1 + 2 * jnp.finfo(position.dtype).eps)).astype(int)

    @abc.abstractmethod
    def discretization(self, t: Time) -> tuple[Array, Array]:
        """Return (c, G) of the chain's step x + c x + G z at t."""


@path
class DDPM(Tabulated, GaussianPath):
    """The chain x_i = sqrt(alpha_i) x_{i-1} + sqrt(beta_i) z of Ho et al. 2020 (eq. 2), i = 0 ... steps - 1.

    beta_i rises linearly from beta_min / steps to beta_max / steps, alpha_i = 1 - beta_i and abar_i is the product of
    alpha_0 ... alpha_i, so that x_i | x_0 ~ N(sqrt(abar_i) x_0, (1 - abar_i) I) (eq. 4): these are the marginals at
    `time(i)`. Between them log alpha is a monotone cubic (Fritsch & Carlson 1980), so that f and g^2 are continuous,
    and the variance is 1 - alpha^2. Raises `InputError` unless 0 <= beta_min <= beta_max < steps, beta_max > 0.
    """

    beta_min: float = static(default=0.1)
    beta_max: float = static(default=20.0)
    steps: int = static(default=1000)

    def __post_init__(self):
        super().__post_init__()
        betas = self.beta_min, self.beta_max  # of a table, which is NumPy's
        if not (concrete(betas) and 0 <= betas[0] <= betas[1] < self.steps and betas[1] > 0):
            raise InputError(f"{self}: expected 0 <= beta_min <= beta_max < steps, beta_max > 0")

    def betas(self) -> Float[np.ndarray, " steps"]:
        """Return beta_i."""
        return np.linspace(self.beta_min / self.steps, self.beta_max / self.steps, self.steps)

    def alphas(self) -> Float[np.ndarray, " steps"]:
        """Return alpha_i = 1 - beta_i."""
        return 1 - self.betas()

    def alphas_cumprod(self) -> Float[np.ndarray, " steps"]:
        """Return abar_i = alpha_0 ... alpha_i, the square of the path's alpha at `time(i)`."""
        return np.exp(np.cumsum(np.log1p(-self.betas())))

    def log_alpha(self, t: Time) -> Array:
        """Return the cubic through log(abar_i) / 2."""
        return _cubic(0.5 * np.cumsum(np.log1p(-self.betas())), jnp.asarray(t, float) * (self.steps - 1))

    def variance(self, t: Time) -> Array:
        """Return 1 - alpha(t)^2."""
        return -jnp.expm1(2 * self.log_alpha(t))

    def prior_variance(self) -> Array:
        """Return 1."""
        return jnp.ones(())

    def label(self, t: Time) -> Float[Array, ""]:
        """Return t (steps - 1), not rounded: what the official networks are told of the time."""
        return jnp.asarray(t, float) * (self.steps - 1)

    def discretization(self, t: Time) -> tuple[Array, Array]:
        """Return (c, G) of the chain's step x + c x + G z at t: sqrt(alpha_i) - 1 and sqrt(beta_i), i = index(t)."""
        beta = jnp.asarray(self.betas(), float)[self.index(t)]
        return jnp.expm1(0.5 * jnp.log1p(-beta)), jnp.sqrt(beta)


@path
class SMLD(Tabulated, VE):
    """The chain of noise levels sigma_i of Song & Ermon 2019, x_i | x_0 ~ N(x_0, sigma_i^2 I), i = 0 ... steps - 1.

    The sigma_i are geometric from sigma_min to sigma_max: at `time(i)` this is VE, which joins them at all other
    times (Song et al. 2021, section 3.4). Raises `InputError` unless 0 < sigma_min < sigma_max.
    """

    steps: int = static(default=1000)

    def __post_init__(self):
        Tabulated.__post_init__(self)
        VE.__post_init__(self)

    def sigmas(self) -> Float[Array, " steps"]:
        """Return sigma_i, which rises with i."""
        return self.sigma(self.time(jnp.arange(self.steps)))

    def label(self, t: Time) -> Int[Array, ""]:
        """Return round((1 - t)(steps - 1)): what the official networks are told, 0 at the largest sigma."""
        return jnp.round((1 - jnp.asarray(t, float)) * (self.steps - 1)).astype(int)

    def discretization(self, t: Time) -> tuple[Array, Array]:
        """Return (c, G) of the chain's step x + c x + G z at t: 0 and sqrt(sigma_i^2 - sigma_{i-1}^2), i = index(t).

        Before the first there is no noise: sigma_{-1} = 0.
        """
        i, sigmas = self.index(t), self.sigmas()
        before = jnp.where(i > 0, sigmas[i - 1], 0.0)
        return jnp.zeros_like(before), jnp.sqrt((sigmas[i] - before) * (sigmas[i] + before))


def _cubic(table: Float[np.ndarray, " steps"], position: Array) -> Array:
    """Return the value at a fractional index of the monotone cubic spline through a falling table.

    Its slope at a row is the mean of the two increments there, at the ends what their line gives, and never more
    than three times the smaller one, which keeps it monotone.
    """
    rises = np.diff(table)
    outer = np.pad(rises, 1, mode="reflect", reflect_type="odd")
    steepest = 3 * np.maximum(np.r_[rises[:1], rises], np.r_[rises, rises[-1:]])
    slopes = np.clip((outer[1:] + outer[:-1]) / 2, steepest, 0)
    i = jnp.clip(jnp.floor(position), 0, len(rises) - 1).astype(int)
    w = position - i
    rise, left, right = (jnp.asarray(values, position.dtype)[i] for values in (rises, slopes[:-1], slopes[1:]))
    # Hermite's cubic as its line and what bends it
    bend = (1 - w) * (left - rise) - w * (right - rise)
    return jnp.asarray(table, position.dtype)[i] + w * (rise + (1 - w) * bend)
