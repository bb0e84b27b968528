"""A path without its offset."""

from jaxtyping import DTypeLike

from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Key, Time


@path
class Centred(GaussianPath):
    """The process x_t - b(t) of a path: what every solver runs on, so that none of them knows of offsets.

    An offset only translates: in these coordinates alpha, sigma and x_0 are as they were, and b is 0.
    """

    path: GaussianPath

    def log_alpha(self, t: Time) -> Array:
        """Return the path's log alpha(t)."""
        return self.path.log_alpha(t)

    def variance(self, t: Time) -> Array:
        """Return the path's variance(t)."""
        return self.path.variance(t)

    def alpha(self, t: Time) -> Array:
        """Return the path's alpha(t)."""
        return self.path.alpha(t)

    def sigma(self, t: Time) -> Array:
        """Return the path's sigma(t)."""
        return self.path.sigma(t)

    def log_snr(self, t: Time) -> Array:
        """Return the path's log_snr(t)."""
        return self.path.log_snr(t)

    def prior_variance(self) -> Array:
        """Return the path's."""
        return self.path.prior_variance()

    def noise(self, key: Key, shape: tuple[int, ...], dtype: DTypeLike = float) -> Array:
        """Draw the path's noise."""
        return self.path.noise(key, shape, dtype)
