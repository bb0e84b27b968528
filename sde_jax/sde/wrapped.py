"""A path made from another one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import DTypeLike, Float

from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Key, Time


@path
class Wrapped(GaussianPath):
    """The process of `path` as it is: what combinators start from, each stating what it changes."""

    path: GaussianPath

    def log_alpha(self, t: Time) -> Array:
        """Return the path's log alpha(t)."""
        return self.path.log_alpha(t)

    def variance(self, t: Time) -> Array:
        """Return the path's variance(t)."""
        return self.path.variance(t)

    def offset(self, t: Time) -> Array:
        """Return the path's b(t)."""
        return self.path.offset(t)

    def given(self, facts: Mapping[str, Array | np.ndarray]) -> GaussianPath:
        """Return this of the path given the facts."""
        return replace(self, path=self.path.given(facts))

    def alpha(self, t: Time) -> Array:
        """Return the path's alpha(t)."""
        return self.path.alpha(t)

    def sigma(self, t: Time) -> Array:
        """Return the path's sigma(t)."""
        return self.path.sigma(t)

    def log_snr(self, t: Time) -> Array:
        """Return the path's log_snr(t)."""
        return self.path.log_snr(t)

    def prior_mean(self) -> Array:
        """Return the path's."""
        return self.path.prior_mean()

    def prior_variance(self) -> Array:
        """Return the path's."""
        return self.path.prior_variance()

    def noise(self, key: Key, shape: tuple[int, ...], dtype: DTypeLike = float) -> Array:
        """Draw the path's noise."""
        return self.path.noise(key, shape, dtype)

    def from_data(self, data: Any) -> Array:
        """Return the path's x_0."""
        return self.path.from_data(data)

    def to_data(self, x0: Array) -> Any:
        """Return the path's data."""
        return self.path.to_data(x0)

    def log_volume(self, data: Any) -> Float[Array, ""]:
        """Return the path's."""
        return self.path.log_volume(data)

    def prior_log_prob(self, x: Float[Array, "..."]) -> Float[Array, ""]:
        """Return the path's."""
        return self.path.prior_log_prob(x)
