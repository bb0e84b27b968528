"""The cosine schedule."""

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Time


@path
class Cosine(GaussianPath):
    """alpha(t) = cos(phi(t)) / cos(phi(0)), sigma^2 = 1 - alpha^2 (Nichol & Dhariwal 2021, eq. 17).

    phi is linear in t from s / (1 + s) pi/2. Theirs ends at pi/2, where alpha is 0; ours where log(alpha / sigma) is
    `last_log_snr`, so that f and g^2 are finite everywhere and the log-SNR falls strictly.
    Raises `InputError` unless s >= 0 and last_log_snr is finite.
    """

    s: float = 0.008
    last_log_snr: float = -10.0

    def __post_init__(self):
        if known(self.s) and not 0 <= self.s < float("inf"):
            raise InputError(f"{self}: expected s >= 0")
        if known(self.last_log_snr) and not abs(self.last_log_snr) < float("inf"):
            raise InputError(f"{self}: expected a finite last_log_snr")

    def angles(self, t: Time) -> tuple[Array, Array, Array]:
        """Return phi(0), phi(t) - phi(0) and pi/2 - phi(t), none of them as a difference of nearly equal numbers."""
        first = jnp.asarray(self.s / (1 + self.s) * jnp.pi / 2, jnp.result_type(t, float))
        last = jnp.arcsin(jnp.cos(first) / jnp.sqrt(1 + jnp.exp(-2.0 * self.last_log_snr)))  # pi/2 - phi(1)
        sweep = jnp.pi / 2 - last - first
        return first, t * sweep, (1 - t) * sweep + last

    def log_alpha(self, t: Time) -> Array:
        """Return log(cos(phi(t)) / cos(phi(0)))."""
        first, _, left = self.angles(t)
        return jnp.log(jnp.sin(left) / jnp.cos(first))

    def variance(self, t: Time) -> Array:
        """Return 1 - alpha^2 = sin(phi(t) - phi(0)) sin(phi(t) + phi(0)) / cos(phi(0))^2."""
        first, turned, _ = self.angles(t)
        return jnp.sin(turned) * jnp.sin(turned + 2 * first) / jnp.cos(first) ** 2
