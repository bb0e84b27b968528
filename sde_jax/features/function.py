"""Any function as features."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.features.reader import Reader
from sde_jax.typing import Array


@dataclass(frozen=True)
class Function:
    """What a function of JAX returns of one example, as the data set gives it: float [d]. There are no logits.

    name: what it is called in results; protocol: in words, what it does with an example first.
    For programs: no configuration can hold a function.
    """

    function: Callable[[Array], Float[Array, " d"]]
    name: str
    protocol: str = "as the function takes it"

    def open(self, shape: tuple[int, ...], levels: int | None) -> Reader:
        """Return the extractor; raises `InputError` unless the function returns [d] floats of one example."""
        dtype = jnp.float32 if levels is None else jnp.uint8 if levels <= 256 else jnp.int32
        found = jax.eval_shape(self.function, jax.ShapeDtypeStruct(shape, dtype))
        vector = isinstance(found, jax.ShapeDtypeStruct) and found.ndim == 1
        if not vector or not jnp.issubdtype(found.dtype, jnp.floating):
            raise InputError(f"features {self.name!r}: the function returns {found} of an example; expected floats [d]")
        function = self.function
        return Reader((), lambda _, x: (function(x), None), tuple(shape), found.shape[0], self.name, self.protocol)
