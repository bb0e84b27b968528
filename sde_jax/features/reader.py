"""Extractors whose features are a function of parameters and one example."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
from jaxtyping import Float, Shaped

from sde_jax.errors import InputError
from sde_jax.typing import Array, Params

Outputs = tuple[Float[Array, " d"], Float[Array, " k"] | None]
"""Features of one example, and its logits where there are any."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["read", "shape", "size", "name", "protocol", "comparable"],
)
@dataclass(frozen=True, eq=False)
class Reader:
    """`metrics.Extractor` of read(params, example of `shape`) -> `Outputs`.

    Called as it is, it is compiled. It is a pytree of its parameters: `jax.device_put` places them once for a mesh, and
    a program of one's own takes it as an argument, for what a program closes over is copied into it.
    """

    params: Params
    read: Callable[[Params, Array], Outputs]
    shape: tuple[int, ...]
    size: int
    name: str
    protocol: str
    comparable: bool = False

    def __call__(self, data: Shaped[Array, "n ..."]) -> tuple[Float[Array, "n d"], Float[Array, "n k"] | None]:
        """Return features and logits of n examples. Raises `InputError` for examples of another shape."""
        if data.shape[1:] != self.shape:
            raise InputError(f"{self.name}: examples have the shape {data.shape[1:]}; expected {self.shape}, as opened")
        return _evaluate(self, data)


@jax.jit
def _evaluate(reader: Reader, data: Array) -> tuple[Array, Array | None]:
    return jax.vmap(reader.read, (None, 0))(reader.params, data)
