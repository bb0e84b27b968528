"""One evaluation of a network: what happens around each of its blocks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.nn.compute import Compute
from sde_jax.typing import Array, Key


class Forward:
    """Runs the blocks of one evaluation, by name: `h = forward("encoder.0.1", block, h, embedding)`.

    A block is called as `block(*arrays, key=key)` with a dropout key of its own, None where `key` is None: no dropout.
    What it computes is kept for the backward pass, or computed again there, as `compute` says. `activations`, where
    given, receives every block's output under its name; the values are the same with and without.

    A network makes no other use of it, so that dropout, rematerialisation and probing are written once.
    """

    def __init__(
        self, key: Key | None = None, compute: Compute | None = None, activations: dict[str, Array] | None = None
    ):
        self._key, self._calls = key, 0
        self._around = (compute or Compute()).rematerialization.around
        self._activations = activations

    def __call__(self, name: str, block: Callable[..., Array], *arrays: Array | None) -> Array:
        """Return `block(*arrays, key=key)`."""
        key = None if self._key is None else jax.random.fold_in(self._key, self._calls)
        self._calls += 1
        h = self._around(block)(*arrays, key=key)
        if self._activations is not None:
            self._activations[name] = h
        return h


def require_example(x: Array, noise: Array, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless a network is given one example of its shape, and a scalar label."""
    if jnp.shape(x) != shape or jnp.ndim(noise):
        raise InputError(
            f"called with shapes {jnp.shape(x)} and {jnp.shape(noise)}, expected one example {shape} and a scalar "
            "label; lift the call over a batch with jax.vmap"
        )
