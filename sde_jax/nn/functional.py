"""The single seam between Flax and the rest: a module becomes a pure function and a pytree."""

from collections.abc import Callable

from flax import nnx

from sde_jax.nn.architecture import Architecture
from sde_jax.typing import Array, Key, Params

Apply = Callable[..., Array]
"""`apply(params, x, noise, *, key=None)`: one example in, one of the same shape out; `key` switches dropout on."""


def functional(model: nnx.Module) -> tuple[Apply, Params]:
    """Split a network into `(apply, params)`.

    `params` is a nested dictionary of arrays. `apply(params, x, noise, *, key=None)` evaluates the network on one
    example `x` at the scalar noise label `noise`; `key=None` is deterministic, a key makes dropout draw from it.
    Works under every JAX transformation.
    """
    graph, params = nnx.split(model, nnx.Param)

    def apply(params: Params, x: Array, noise: Array, *, key: Key | None = None) -> Array:
        network = nnx.merge(graph, nnx.State(params))  # type: ignore[arg-type]
        return network(x, noise, rngs=None if key is None else nnx.Rngs(dropout=key))

    return apply, nnx.to_pure_dict(params)


def initialized(architecture: Architecture, shape: tuple[int, ...], seed: int) -> tuple[Apply, Params]:
    """Return `(apply, params)` of a fresh network for examples of `shape`; the parameters are a function of `seed`."""
    return functional(architecture.build(shape, rngs=nnx.Rngs(seed)))


def abstract(architecture: Architecture, shape: tuple[int, ...]) -> tuple[Apply, Params]:
    """Return `(apply, params)` with the parameters' shapes and dtypes only; nothing is computed or allocated."""
    model = nnx.eval_shape(lambda: architecture.build(shape, rngs=nnx.Rngs(0)))
    return functional(model)
