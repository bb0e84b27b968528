"""The twisted diffusion sampler: exact conditioning of an ancestral sampler, by guided proposals and weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from sde_jax.errors import InputError, takes_components
from sde_jax.measurement import Measurements, sources
from sde_jax.prediction import check_denoiser, require_score
from sde_jax.pytree import in_one_line, known
from sde_jax.sampling.kernel import refresh
from sde_jax.sde import GaussianPath, require_falling
from sde_jax.typing import Array, Denoiser, Key, Time

LogPotential = Callable[[Array, Array], Float[Array, ""]]
"""(x0, c) -> a log-likelihood or reward of a clean example that is known up to the variance c; c = 0: of x0 itself."""


def log_likelihood(measurements: Measurements) -> LogPotential:
    """Return (x0, c) -> log N(y; A(x0), R + c I), the sum over all sources, in nats.

    Raises `InputError` where there are none; and what is returned, for an x0 that they do not fit.
    """
    parts = sources(measurements)

    def potential(x0: Array, c: Array) -> Array:
        for part in parts:
            part.require(x0.shape)
        return jnp.asarray(sum(part.log_prob(x0, c) for part in parts))

    return potential


@in_one_line
class Seen(NamedTuple):
    """psi = log_potential(clean, c), clean = D(x, t), and the shift (sigma^2 / alpha) grad_x psi of the denoiser."""

    psi: Float[Array, ""]
    clean: Array
    shift: Array


@in_one_line
class Particle(NamedTuple):
    """x - b(t), and what was seen there."""

    x: Array
    seen: Seen


@takes_components
@in_one_line
@dataclass(frozen=True)
class Twisted:
    """The law of an ancestral sampler's x_0 times exp(log_potential(x_0, 0)) (Wu et al. 2023, algorithm 1).

    The sampler is the chain x_s ~ K(x_t, D(x_t)) = N(keep x_t + (alpha_s - keep alpha_t) D, spread^2 I), the posterior
    of x_s given x_t and x_0 = D; its last step ends at the mean. With psi_t(x) = log_potential(D(x, t), c_t) a particle
    moves by the same kernel with the guided D + (sigma^2 / alpha) grad psi_t in the place of D, and

        log w gains log K(x_s; x_t, D) - log K(x_s; x_t, guided D) + psi_s(x_s) - psi_t(x_t);

    the last step is the chain's own, and the last psi is log_potential(x_0, 0). The sum telescopes: whatever psi is
    before the end, the weighted particles have the target's law as their number grows, and psi decides how evenly they
    weigh. No other error is left than that of the chain itself, and `log_normalizer` estimates log E exp(log_potential
    (x_0, 0)), for a likelihood the log-evidence. Use it by `sample_particles`.

    log_potential: see `LogPotential`; of measurements `log_likelihood(measurements)`. c_t = v sigma^2 / (sigma^2 + v
    alpha^2) is the variance of x_0 given x_t for data of variance v = data_variance, and falls to 0 with sigma.

    Raises `InputError` unless data_variance > 0, and where log_potential is no scalar.
    """

    sde: GaussianPath
    denoise: Denoiser
    log_potential: LogPotential
    data_variance: float = 1.0

    def __post_init__(self):
        require_falling(self.sde)
        require_score("Twisted", self.denoise)
        if known(self.data_variance) and not 0 < self.data_variance < float("inf"):
            raise InputError(f"Twisted: data_variance = {self.data_variance}: expected a positive number")

    def start(self, key: Key, shape: tuple[int, ...], grid: Array) -> tuple[Particle, Array]:
        """Draw from the prior; return the particle and psi as its log-weight."""
        check_denoiser(self.denoise, shape)
        x = self.sde.prior_sample(key, shape) - self.sde.offset(grid[0])
        out = jax.eval_shape(self.log_potential, x, jnp.zeros((), x.dtype))
        if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != () or out.dtype != x.dtype:
            raise InputError(f"log_potential of an x0 of shape {shape} is {out}: expected a scalar of type {x.dtype}")
        seen = self.look(x, grid[0])
        return Particle(x, seen), seen.psi

    def look(self, x: Array, t: Time) -> Seen:
        """Evaluate the denoiser, the potential and its gradient at x + b(t)."""
        alpha, variance = self.sde.alpha(t), self.sde.variance(t)
        left = jnp.mean(self.data_variance * variance / (variance + self.data_variance * alpha**2))

        def psi(x: Array) -> tuple[Array, Array]:
            clean = self.denoise(x + self.sde.offset(t), t)
            return self.log_potential(clean, left), clean

        (value, clean), slope = jax.value_and_grad(psi, has_aux=True)(x)
        # Where alpha is 0 nothing is known of x_0, and D and psi do not depend on x.
        scale = jnp.where(alpha == 0, 0.0, variance / jnp.where(alpha == 0, 1.0, alpha))
        return Seen(value, clean, scale * slope)

    def move(self, key: Key, particle: Particle, t: Time, s: Time, last: Bool[Array, ""]) -> tuple[Particle, Array]:
        """Carry a particle from t to s by the guided kernel; return what its log-weight gains."""
        sde, (x, seen) = self.sde, particle
        keep, spread = refresh(sde, t, s, 1.0)
        taken = sde.alpha(s) - keep * sde.alpha(t)
        push = jnp.where(last, 0.0, taken * seen.shift / jnp.where(last, 1.0, spread))
        z = sde.noise(key, x.shape, x.dtype)
        x = keep * x + taken * seen.clean + jnp.where(last, 0.0, spread * (push + z))

        def end() -> Seen:
            psi = self.log_potential(x + sde.offset(s), jnp.zeros((), x.dtype))
            return Seen(psi, jnp.zeros_like(x), jnp.zeros_like(x))

        after = jax.lax.cond(last, end, lambda: self.look(x, s))
        return Particle(x, after), after.psi - seen.psi - jnp.sum(push * (z + 0.5 * push))

    def read(self, particle: Particle, t: Time) -> Array:
        """Return the example of the data."""
        return self.sde.to_data(particle.x + self.sde.offset(t))
