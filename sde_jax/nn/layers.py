"""Dense layers and convolutions, initialised as in Song et al. 2021, and the dtype of their products."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sde_jax.typing import Array, Key


def variance_scaling(scale: float) -> Callable[..., Array]:
    """Return the initialiser of Song et al. 2021: uniform with variance scale / mean(fan in, fan out).

    Weights are [*window, inputs, outputs]. A `scale` of 0 stands for 1e-10: a layer that starts as (almost)
    nothing, but not exactly dead.
    """

    def initialize(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        *window, inputs, outputs = shape
        bound = math.sqrt(3 * (scale or 1e-10) / (math.prod(window) * (inputs + outputs) / 2))
        # the same numbers as a draw of `shape`, but XLA on CPU compiles a flat draw up to 20 times faster
        return jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound).reshape(shape)

    return initialize


def operands(arrays: Any, /, *, dtype: Any = None, inexact: bool = True) -> Any:
    """Return a layer's input and kernel in the dtype of its product, by default the input's, and its bias as it is."""
    x, kernel, *bias = arrays
    dtype = dtype or x.dtype
    return [x.astype(dtype), jnp.asarray(kernel, dtype), *bias]


def set_products(network: nnx.Module, dtype: Any) -> None:
    """Have the layers of a network compute their products, of inputs with kernels, in a dtype.

    Its direct parts, the first layer and the embedding of the noise label, do not: they cost little and all rests on
    them.
    """
    for path, layer in nnx.iter_graph(network):
        if len(path) > 1 and getattr(layer, "promote_dtype", None) is operands:
            layer.dtype = dtype


def attention(query: Array, key: Array, value: Array, dtype: Any = None) -> Array:
    """Return softmax(q k^T / sqrt(features)) v, [tokens, heads, features]; products are in a dtype, or in theirs."""
    q, k, v = (a.astype(dtype or a.dtype) for a in (query, key, value))
    return jax.nn.dot_product_attention(q, k, v).astype(value.dtype)


def dense(inputs: int, outputs: int, *, init_scale: float = 1.0, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a layer [..., inputs] -> [..., outputs]."""
    kernel_init = variance_scaling(init_scale)
    return nnx.Linear(inputs, outputs, kernel_init=kernel_init, promote_dtype=operands, rngs=rngs)


def silent(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a layer [..., inputs] -> [..., outputs] that starts at zero, as in Ho et al. 2020."""
    return nnx.Linear(inputs, outputs, kernel_init=nnx.initializers.zeros, promote_dtype=operands, rngs=rngs)


def conv3x3(
    inputs: int,
    outputs: int,
    *,
    init_scale: float = 1.0,
    stride: int = 1,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """Return a convolution [h, w, inputs] -> [h / stride, w / stride, outputs], the image continued by zeros."""
    kernel_init = variance_scaling(init_scale)
    return nnx.Conv(inputs, outputs, (3, 3), strides=stride, kernel_init=kernel_init, promote_dtype=operands, rngs=rngs)


def conv1x1(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Conv:
    """Return a convolution [h, w, inputs] -> [h, w, outputs] of single pixels."""
    kernel_init = variance_scaling(1.0)
    return nnx.Conv(inputs, outputs, (1, 1), kernel_init=kernel_init, promote_dtype=operands, rngs=rngs)
