"""Changes of resolution by two through a separable finite impulse response filter (Zhang 2019).

A filter (k_0, ..., k_n-1) is used as k / sum(k) along the height and along the width.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.typing import Array

Filter = tuple[float, ...]


def filtered(
    x: Float[Array, "h w c"], taps: Filter, pads: tuple[int, int], *, spread: int = 1, stride: int = 1
) -> Array:
    """Return every `stride`-th value of the convolution of an image with a filter, along both axes.

    Before, `spread` - 1 zeros are put between neighbours, and pads[0], pads[1] zeros before and after (cropped where
    negative). The filter is multiplied by `spread`, so that a constant image stays what it is.
    """
    total = sum(taps) / spread
    for axis in (0, 1):
        padding = [(0, 0, 0)] * 3
        padding[axis] = (pads[0], pads[1] + spread - 1, spread - 1)
        padded = jax.lax.pad(x, jnp.zeros((), x.dtype), padding)
        outputs = padded.shape[axis] - len(taps) + 1
        terms = [
            jax.lax.slice_in_dim(padded, k, k + outputs, stride, axis) * (tap / total)
            for k, tap in enumerate(reversed(taps))
        ]
        x = functools.reduce(jnp.add, terms)
    return x


def upsample(x: Float[Array, "h w c"], taps: Filter) -> Float[Array, "2*h 2*w c"]:
    """Return the image with zeros between its pixels, filtered."""
    excess = len(taps) - 2
    return filtered(x, taps, ((excess + 1) // 2 + 1, excess // 2), spread=2)


def downsample(x: Float[Array, "2*h 2*w c"], taps: Filter) -> Float[Array, "h w c"]:
    """Return every second pixel of the filtered image."""
    excess = len(taps) - 2
    return filtered(x, taps, ((excess + 1) // 2, excess // 2), stride=2)


def upsample_conv(x: Float[Array, "h w i"], kernel: Float[Array, "n n i o"], taps: Filter) -> Float[Array, "2*h 2*w o"]:
    """Return the image with zeros between its pixels, correlated with a kernel, then filtered."""
    width = kernel.shape[0]
    spread = _convolved(x, kernel, padding=width - 1, spread=2)
    excess = len(taps) - 2 - (width - 1)
    return 4 * filtered(spread, taps, ((excess + 1) // 2 + 1, excess // 2 + 1))


def conv_downsample(
    x: Float[Array, "2*h 2*w i"], kernel: Float[Array, "n n i o"], taps: Filter
) -> Float[Array, "h w o"]:
    """Return every second pixel of the filtered image correlated with a kernel."""
    excess = len(taps) - 2 + (kernel.shape[0] - 1)
    return _convolved(filtered(x, taps, ((excess + 1) // 2, excess // 2)), kernel, stride=2)


def _convolved(x: Array, kernel: Array, *, padding: int = 0, spread: int = 1, stride: int = 1) -> Array:
    """Return the correlation, in the dtype of x from a product in that of the kernel."""
    y = jax.lax.conv_general_dilated(
        x.astype(kernel.dtype)[None],
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        lhs_dilation=(spread, spread),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y[0].astype(x.dtype)
