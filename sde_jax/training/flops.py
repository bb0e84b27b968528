"""Floating-point operations of a program, and how much of what a chip can do they are."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

PEAK_FLOPS = {
    "NVIDIA A10": 125e12,
    "NVIDIA A100": 312e12,
    "NVIDIA A10G": 70e12,
    "NVIDIA A30": 165e12,
    "NVIDIA A40": 149.7e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA GB200": 2500e12,
    "NVIDIA GH200": 989.4e12,
    "NVIDIA H100": 989.4e12,
    "NVIDIA H100 NVL": 835.5e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H200": 989.4e12,
    "NVIDIA H200 NVL": 835.5e12,
    "NVIDIA L4": 121e12,
    "NVIDIA L40": 181e12,
    "NVIDIA L40S": 362e12,
    "TPU v2": 23e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5": 459e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
}
"""Dense bfloat16 FLOP/s of a device, by how its `device_kind` begins.

TPU: "Peak compute per chip (bf16)" in Google Cloud's pages on each version; on v2 and v3 a device is one of a chip's
two cores. NVIDIA: the BFLOAT16 Tensor Core figure of each data sheet, halved where it is given with sparsity.
"""


def peak_flops(kind: str) -> float | None:
    """Return the dense bfloat16 FLOP/s of a device of this `device_kind`; None where unknown, or for a part of one."""
    known = [name for name in PEAK_FLOPS if re.match(re.escape(name) + r"(?!\w)", kind)]
    return PEAK_FLOPS[max(known, key=len)] if known and " MIG " not in kind else None


def product_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Return the FLOPs of the matrix products and convolutions that a function of arrays (or their shapes) makes.

    Two for a multiplication with its addition; one with padding, or with the zeros between a dilated array's entries,
    is none. Counted in the traced program, as it would be without a compiler: a scan's body once a step, a `while`
    loop's once, of a `cond` the dearest branch. All else that a network computes is left out, as is usual in counts of
    model FLOPs (Chowdhery et al. 2022, appendix B).
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def flop_utilization(flops: float, seconds: float, devices: int, kind: str) -> float | None:
    """Return which fraction of the peak of `devices` of a kind `flops` in `seconds` are; None where it is unknown."""
    peak = peak_flops(kind)
    return None if peak is None or seconds <= 0 else flops / (seconds * devices * peak)


def _flops(program: Any) -> int:
    return sum(_flops_of(equation) for equation in program.eqns)


def _flops_of(equation: Any) -> int:
    name, parameters = equation.primitive.name, equation.params
    shapes = [variable.aval.shape for variable in (*equation.invars, *equation.outvars)]
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        return 2 * math.prod(shapes[-1]) * math.prod(shapes[0][i] for i in contracted)
    if name == "conv_general_dilated":
        return _convolution_flops(shapes, parameters)
    within = [_flops(program) for program in _programs(list(parameters.values()))]
    times = parameters["length"] if name == "scan" else 1
    return times * (max(within) if name == "cond" else sum(within))


def _programs(parameter: Any) -> Iterator[Any]:
    """Yield the programs within an equation's parameters, closed or not."""
    if isinstance(parameter, list | tuple):
        for item in parameter:
            yield from _programs(item)
    elif hasattr(parameter, "eqns"):
        yield getattr(parameter, "jaxpr", parameter)


def _convolution_flops(shapes: list[tuple[int, ...]], parameters: Any) -> int:
    (left, right, out), names = shapes, parameters["dimension_numbers"]
    features, each, *window = (right[i] for i in names.rhs_spec)
    pairs = [
        _pairs(left[i], size, out[j], *settings)
        for i, size, j, *settings in zip(
            names.lhs_spec[2:],
            window,
            names.out_spec[2:],
            parameters["window_strides"],
            parameters["padding"],
            parameters["lhs_dilation"],
            parameters["rhs_dilation"],
            strict=True,
        )
    ]
    return 2 * out[names.out_spec[0]] * features * each * math.prod(pairs)


def _pairs(size: int, window: int, out: int, stride: int, padding: tuple, spread: int, dilation: int) -> int:
    """Return how many pairs of an output and a weight meet an entry of the input, along one axis."""
    at = np.arange(out)[:, None] * stride + np.arange(window) * dilation - padding[0]
    return int(np.sum((at >= 0) & (at <= (size - 1) * spread) & (at % spread == 0)))
