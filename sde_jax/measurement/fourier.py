"""Coefficients of the Fourier transform."""

import jax.numpy as jnp
from jaxtyping import Bool

from sde_jax.measurement.operator import Operator, as_mask, space
from sde_jax.pytree import component
from sde_jax.typing import Array


@component
class Fourier(Operator):
    """The discrete Fourier transform over space, orthonormal, where `sampled`; elsewhere 0, and no measurement (MRI).

    y: [2, *x0's shape], real and imaginary parts. sampled: bool, or 0 and 1, broadcasts against x0; others raise
    `InputError` as of `Mask`.
    """

    sampled: Bool[Array, "..."]

    def __post_init__(self):
        object.__setattr__(self, "sampled", as_mask(self.sampled))

    @property
    def measured(self) -> Bool[Array, "..."]:
        """Where `sampled`."""
        return jnp.asarray(self.sampled, bool)

    def __call__(self, x0: Array) -> Array:
        """Return the sampled coefficients."""
        c = jnp.fft.fftn(x0, axes=space(x0.shape), norm="ortho")
        return jnp.where(self.sampled, jnp.stack([jnp.real(c), jnp.imag(c)]), 0).astype(x0.dtype)
