"""Pictures without colour."""

import jax.numpy as jnp
import numpy as np

from sde_jax.measurement.operator import Operator
from sde_jax.measurement.spectrum import Spectrum, block_basis
from sde_jax.pytree import component
from sde_jax.typing import Array


@component
class Grey(Operator):
    """The mean over channels, [..., 1]: colours are to be found (Song et al. 2021, appendix I.3)."""

    def __call__(self, x0: Array) -> Array:
        """Return the mean of the last axis."""
        return jnp.mean(x0, -1, keepdims=True)

    def spectrum(self, shape: tuple[int, ...]) -> Spectrum:
        """Return 1 / sqrt(channels) for the mean, 0 for what differs from it."""
        count = shape[-1]
        basis = jnp.asarray(block_basis(np.full(count, 1 / count)))
        values = jnp.zeros(count).at[0].set(count**-0.5)
        return Spectrum(lambda x: x @ basis, lambda c: c @ basis.T, lambda y: y * (jnp.arange(count) == 0), values)
