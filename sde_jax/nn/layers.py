"""Dense layers and convolutions that compute in the dtype of their input, initialised as in Song et al. 2021."""

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


def as_input(arrays: Any, /, *, dtype: Any = None, inexact: bool = True) -> Any:
    """Return an input and its layer's parameters (None for none), all in the dtype of the input."""
    return [None if a is None else jnp.asarray(a, arrays[0].dtype) for a in arrays]


def dense(inputs: int, outputs: int, *, init_scale: float = 1.0, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a layer [..., inputs] -> [..., outputs]."""
    kernel_init = variance_scaling(init_scale)
    return nnx.Linear(inputs, outputs, use_bias=use_bias, kernel_init=kernel_init, promote_dtype=as_input, rngs=rngs)


def silent(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a layer [..., inputs] -> [..., outputs] that starts at zero, as in Ho et al. 2020."""
    return nnx.Linear(inputs, outputs, kernel_init=nnx.initializers.zeros, promote_dtype=as_input, rngs=rngs)


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
    return nnx.Conv(inputs, outputs, (3, 3), strides=stride, kernel_init=kernel_init, promote_dtype=as_input, rngs=rngs)


def conv1x1(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Conv:
    """Return a convolution [h, w, inputs] -> [h, w, outputs] of single pixels."""
    kernel_init = variance_scaling(1.0)
    return nnx.Conv(inputs, outputs, (1, 1), kernel_init=kernel_init, promote_dtype=as_input, rngs=rngs)
