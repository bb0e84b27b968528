"""The single seam between Flax and the rest: a module becomes a pure function and a pytree."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from sde_jax.errors import InputError, takes_components
from sde_jax.nn.architecture import Architecture
from sde_jax.nn.compute import Compute
from sde_jax.nn.forward import Forward
from sde_jax.nn.layers import set_products
from sde_jax.typing import Array, Key, Params

Apply = Callable[..., Array]
"""`apply(params, x, noise, *, condition=None, key=None)`: one example in, one of its shape out; a key is dropout's."""


class Buildable(Protocol):
    """What builds a module for examples of a shape: an `Architecture`, or one whose modules return something else."""

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        ...


@takes_components
def drawn(architecture: Buildable, shape: tuple[int, ...], seed: int) -> nnx.Module:
    """Return a fresh module for examples of `shape`, its parameters a function of `seed`."""
    return architecture.build(shape, rngs=nnx.Rngs(seed))


def outline(architecture: Buildable, shape: tuple[int, ...]) -> nnx.Module:
    """Return a module for examples of `shape` with shapes and dtypes in the place of parameters.

    The last few are kept: to build a large network takes seconds, and a command asks for its own several times.
    """
    try:
        return _outlined(architecture, shape, jnp.result_type(float))
    except TypeError:  # an architecture of a user's that has no hash
        return _outlined.__wrapped__(architecture, shape, jnp.result_type(float))


@lru_cache(maxsize=4)
def _outlined(architecture: Buildable, shape: tuple[int, ...], real: Any) -> nnx.Module:
    del real  # the type of real numbers, which shapes are told with, may be changed
    return nnx.eval_shape(lambda: architecture.build(shape, rngs=nnx.Rngs(0)))


def stateless(model: nnx.Module) -> tuple[Callable[..., Any], Params]:
    """Split any module into `(call, params)`: call(params, *arguments) is what the module returns of the arguments."""
    graph, params = nnx.split(model, nnx.Param)

    def call(params: Params, *arguments: Any) -> Any:
        return nnx.merge(graph, nnx.State(jax.tree.map(jnp.asarray, params)))(*arguments)  # type: ignore[arg-type]

    return call, nnx.to_pure_dict(params)


@takes_components
def functional(model: nnx.Module, compute: Compute | None = None) -> tuple[Apply, Params]:
    """Split a network into `(apply, params)`.

    `params` is a nested dictionary of float32 arrays; NumPy's will do. `apply(params, x, noise, *, condition=None,
    key=None)` evaluates the network on one example `x` at the scalar noise label `noise`; `key=None` is deterministic,
    a key makes dropout draw from it. The output has the dtype of `x`. Works under every JAX transformation.
    """
    evaluate, params = _split(model, compute or Compute())

    def apply(
        params: Params, x: Array, noise: Array, *, condition: Array | None = None, key: Key | None = None
    ) -> Array:
        return evaluate(params, x, noise, condition, key, None)

    return apply, params


def activations(
    model: nnx.Module, compute: Compute | None = None
) -> tuple[Callable[..., tuple[Array, dict[str, Array]]], Params]:
    """Split a network into `(apply, params)` where apply returns its output and its blocks' outputs by name.

    `apply(params, x, noise, *, condition=None)` -> (y, {"encoder.0.1": h, ...}), y as that of `functional`. For probes,
    and for perceptual distances in a model's own features.
    """
    evaluate, params = _split(model, compute or Compute())

    def apply(
        params: Params, x: Array, noise: Array, *, condition: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        named: dict[str, Array] = {}
        return evaluate(params, x, noise, condition, None, named), named

    return apply, params


def _split(model: nnx.Module, compute: Compute) -> tuple[Callable[..., Array], Params]:
    graph, params = nnx.split(model, nnx.Param)

    def evaluate(
        params: Params,
        x: Array,
        noise: Array,
        condition: Array | None,
        key: Key | None,
        named: dict[str, Array] | None,
    ) -> Array:
        # a row of a NumPy table cannot be looked up by a traced label
        network = nnx.merge(graph, nnx.State(jax.tree.map(jnp.asarray, params)))  # type: ignore[arg-type]
        if compute.bfloat16:
            set_products(network, jnp.bfloat16)
        return network(x, noise, condition=condition, forward=Forward(key, compute, named)).astype(x.dtype)

    return evaluate, nnx.to_pure_dict(params)


@takes_components
def initialized(
    architecture: Architecture, shape: tuple[int, ...], seed: int, compute: Compute | None = None
) -> tuple[Apply, Params]:
    """Return `(apply, params)` of a fresh network for examples of `shape`; the parameters are a function of `seed`."""
    return functional(drawn(architecture, shape, seed), compute)


@takes_components
def abstract(
    architecture: Architecture, shape: tuple[int, ...], compute: Compute | None = None
) -> tuple[Apply, Params]:
    """Return `(apply, params)` with the parameters' shapes and dtypes only; nothing is computed or allocated."""
    return functional(outline(architecture, shape), compute)


@takes_components
def restored(architecture: Architecture, shape: tuple[int, ...], params: Params) -> nnx.Module:
    """Return the network for examples of `shape` with these parameters: `functional` splits it into them again.

    `params` is nested as that of `functional`, with arrays of JAX or NumPy of any real type, which become float32; an
    index may be the number or its digits as text.
    Raises `InputError` where their names or shapes are not those of the network.
    """
    graph, state = nnx.split(outline(architecture, shape), nnx.Param)
    wanted = nnx.to_pure_dict(state)
    expected, found = _by_name(wanted), _by_name(params)
    differences = (
        ("missing", expected.keys() - found.keys()),
        ("unexpected", found.keys() - expected.keys()),
        ("of another shape", {n for n in expected.keys() & found.keys() if expected[n].shape != jnp.shape(found[n])}),
    )
    counted = [f"{len(names)} {what} ({min(names)} first)" for what, names in differences if names]
    if counted:
        raise InputError(
            f"{type(architecture).__name__} for examples of shape {shape}: {', '.join(counted)} among the parameters "
            "given; expected those that functional returns for this network"
        )
    arrays = [jnp.asarray(found[name], like.dtype) for name, like in expected.items()]
    nnx.replace_by_pure_dict(state, jax.tree.unflatten(jax.tree.structure(wanted), arrays))
    return nnx.merge(graph, state)


def _by_name(params: Params) -> dict[str, Array]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
