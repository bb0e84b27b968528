"""A path of data that are Gaussian in coordinates of their own."""

from typing import Any

from jaxtyping import Float

from sde_jax.sde.bijection import Bijection
from sde_jax.sde.path import path
from sde_jax.sde.wrapped import Wrapped
from sde_jax.typing import Array


@path
class Transformed(Wrapped):
    """The path of x_0 = bijection(data): networks, samplers and likelihoods live in the coordinates of x_0.

    Data enter by `from_data` and samples leave by `to_data`; log p(data) = log p(x_0) + `log_volume(data)`.
    """

    bijection: Bijection

    def from_data(self, data: Any) -> Array:
        """Return the path's x_0 of bijection(data)."""
        return self.path.from_data(self.bijection.forward(data))

    def to_data(self, x0: Array) -> Any:
        """Return the data of which the bijection makes the path's."""
        return self.bijection.inverse(self.path.to_data(x0))

    def log_volume(self, data: Any) -> Float[Array, ""]:
        """Return the bijection's and the path's."""
        return self.bijection.log_volume(data) + self.path.log_volume(self.bijection.forward(data))
