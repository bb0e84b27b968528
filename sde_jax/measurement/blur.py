"""Convolution with a kernel."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.measurement.operator import Operator, space
from sde_jax.measurement.spectrum import Spectrum
from sde_jax.pytree import component
from sde_jax.typing import Array


@component
class Blur(Operator):
    """Convolution of each channel with `kernel` over space, which is taken to be periodic.

    kernel: of odd sides, its middle the origin; not flipped: y_i = sum_j kernel_j x0_(i - j). Raises `InputError` for
    even sides, and for a kernel with more axes than space or larger than x0.
    """

    kernel: Float[Array, "..."]

    def __post_init__(self):
        if any(n % 2 == 0 for n in jnp.shape(self.kernel)):
            raise InputError(f"Blur: kernel of shape {jnp.shape(self.kernel)}: expected odd sides")

    def __call__(self, x0: Array) -> Array:
        """Return the blurred x0, of the same shape."""
        axes = space(x0.shape)
        blurred = jnp.fft.ifftn(jnp.fft.fftn(x0, axes=axes) * self._transfer(x0.shape), axes=axes)
        return jnp.real(blurred).astype(x0.dtype)

    def _transfer(self, shape: tuple[int, ...]) -> Array:
        """Return the Fourier transform of the kernel on the grid of x0."""
        sides = [shape[axis] for axis in space(shape)]
        own = jnp.shape(self.kernel)
        if len(own) != len(sides) or any(n > side for n, side in zip(own, sides, strict=True)):
            raise InputError(f"Blur: kernel of shape {own} for space of {tuple(sides)}: expected one that fits into it")
        placed = jnp.zeros(sides).at[tuple(slice(n) for n in own)].set(self.kernel)
        placed = jnp.roll(placed, [-(n // 2) for n in own], range(len(own)))
        return jnp.fft.fftn(placed)[..., *[None] * (len(shape) - len(sides))]

    def spectrum(self, shape: tuple[int, ...]) -> Spectrum:
        """Return the moduli of the kernel's Fourier transform."""
        axes, transfer = space(shape), self._transfer(shape)
        modulus = jnp.abs(transfer)
        phase = jnp.where(modulus > 0, transfer / jnp.where(modulus > 0, modulus, 1), 1)

        def to(x: Array) -> Array:
            return jnp.fft.fftn(x, axes=axes, norm="ortho")

        def back(c: Array) -> Array:
            return jnp.real(jnp.fft.ifftn(c, axes=axes, norm="ortho"))

        return Spectrum(to, back, lambda y: to(y) / phase, modulus, separate=False)


WIDEST = 1000
"""Pixels of a blur's deviation, at most: its kernel has 6 times as many a side."""


def gaussian_kernel(deviation: float, reach: float = 3.0) -> np.ndarray:
    """Return the weights [k, k], of sum 1, of a Gaussian of `deviation` pixels, up to `reach` deviations."""
    if not 0 < deviation <= WIDEST:
        raise InputError(f"deviation = {deviation} pixels: expected a positive number, at most {WIDEST}")
    half = max(int(np.ceil(reach * deviation)), 1)
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / deviation) ** 2)
    return np.outer(weights, weights) / weights.sum() ** 2
