"""What a network is to this library."""

from typing import Protocol

from flax import nnx


class Architecture(Protocol):
    """A frozen dataclass of plain fields that builds a network: the value that a run's configuration names.

    The module it builds is called as `module(x, noise, *, condition=None, forward=Forward())` with one example `x` of
    `shape` (no batch axis: `jax.vmap` lifts it), the scalar noise label `noise` (c_noise of the parameterisation) and
    what the example is conditioned on, None for nothing (condition.py); it returns an array of `shape`. Its layers
    take the dtype of their products from `layers.operands`, its blocks run through `forward` (forward.py).
    """

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a freshly initialised network for examples of `shape`; raises `InputError` where it cannot."""
        ...
