"""Values at points."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.measurement.operator import Operator, space
from sde_jax.pytree import component
from sde_jax.typing import Array


@component
class Sensors(Operator):
    """Values at `positions` [m, 2], in pixels from the centre of the first, by bilinear interpolation: [m, c].

    Positions beyond the outermost pixels' centres take the nearest ones' value. Raises `InputError` unless positions
    are [m, axes of space].
    """

    positions: Float[Array, "m axes"]

    def __call__(self, x0: Array) -> Array:
        """Return the values, [m, c] of an image, [m] without channels."""
        axes = space(x0.shape)
        if jnp.ndim(self.positions) != 2 or jnp.shape(self.positions)[1] != len(axes):
            raise InputError(
                f"Sensors: positions of shape {jnp.shape(self.positions)} in x0 of shape {x0.shape}: expected [m, "
                f"{len(axes)}]"
            )
        at = list(jnp.asarray(self.positions).T)
        channels = x0.reshape(*x0.shape[: len(axes)], -1)
        interpolated = jax.vmap(
            lambda field: jax.scipy.ndimage.map_coordinates(field, at, order=1, mode="nearest"), -1, -1
        )(channels)
        return interpolated.reshape(-1, *x0.shape[len(axes) :])
