"""Fewer pixels."""

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.measurement.operator import Operator, space
from sde_jax.measurement.spectrum import Spectrum, block_basis
from sde_jax.pytree import component, static
from sde_jax.typing import Array


@component
class MeanPool(Operator):
    """Means of blocks of `factor` cells along every axis of space: a coarse grid, or a camera of fewer pixels.

    Raises `InputError` unless factor >= 1, and for an x0 whose sides are no multiples of it.
    """

    factor: int = static(default=2)

    def __post_init__(self):
        _require_factor(self.factor)

    def __call__(self, x0: Array) -> Array:
        """Return the means, [h / factor, w / factor, c] of an image."""
        blocks = self._blocks(x0)
        return jnp.mean(blocks, tuple(range(1, 2 * len(space(x0.shape)), 2)))

    def _blocks(self, x0: Array) -> Array:
        """Return x0 with every axis of space as (blocks, factor)."""
        require_multiple(x0.shape, self.factor)
        axes = space(x0.shape)
        split = [n for axis in axes for n in (x0.shape[axis] // self.factor, self.factor)]
        return x0.reshape(*split, *x0.shape[len(axes) :])

    def spectrum(self, shape: tuple[int, ...]) -> Spectrum:
        """Return 1 / sqrt(cells of a block) for the means, 0 for what differs from them."""
        count = len(space(shape))
        cells = self.factor**count
        basis = jnp.asarray(block_basis(np.full(cells, 1 / cells)))
        order = (*range(0, 2 * count, 2), *range(2 * count, count + len(shape)), *range(1, 2 * count, 2))

        def forward(x0: Array) -> Array:
            blocks = self._blocks(x0).transpose(order)
            return blocks.reshape(*blocks.shape[:-count], cells) @ basis

        def backward(c: Array) -> Array:
            blocks = (c @ basis.T).reshape(*c.shape[:-1], *[self.factor] * count)
            return blocks.transpose(np.argsort(order)).reshape(shape)

        values = jnp.zeros(cells).at[0].set(cells**-0.5)
        return Spectrum(forward, backward, lambda y: y[..., None] * (jnp.arange(cells) == 0), values)


@component
class Bicubic(Operator):
    """Bicubic interpolation at a `factor` times coarser grid, antialiased (Keys 1981, a = -1/2), as images are reduced.

    Raises `InputError` unless factor >= 1, and for an x0 whose sides are no multiples of it.
    """

    factor: int = static(default=2)

    def __post_init__(self):
        _require_factor(self.factor)

    def __call__(self, x0: Array) -> Array:
        """Return the smaller image, [h / factor, w / factor, c]."""
        require_multiple(x0.shape, self.factor)
        axes = space(x0.shape)
        smaller = [n // self.factor if axis in axes else n for axis, n in enumerate(x0.shape)]
        return jax.image.resize(x0, smaller, "cubic", antialias=True)


def _require_factor(factor: object) -> None:
    if not whole(factor, 1):
        raise InputError(f"factor = {factor!r}: expected a whole number of 1 or more")


def require_multiple(shape: tuple[int, ...], factor: int) -> None:
    """Raise `InputError` unless the sides of an example of `shape` are multiples of `factor`."""
    if any(shape[axis] % factor for axis in space(shape)):
        raise InputError(f"x0 of shape {shape} at factor {factor}: expected sides that are multiples of it")
