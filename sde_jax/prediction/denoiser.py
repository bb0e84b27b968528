"""From a network to a denoiser."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction.parameterization import Parameterization
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


@takes_components
def denoiser(
    network: Callable[[Array, Time], Array], sde: GaussianPath, parameterization: Parameterization
) -> Denoiser:
    """Return (x, t) -> c_skip y + c_out F(c_in y, c_noise), the estimate of E[x_0 | x_t = x], with y = x - b(t).

    `network(y, noise)` is F: an `apply` with its parameters (and dropout key) closed over.
    """

    def denoise(x: Array, t: Time) -> Array:
        c, y = parameterization.coefficients(sde, t), x - sde.offset(t)
        return c.skip * y + c.out * network(c.scale_in * y, c.noise)

    return denoise


def check_denoiser(denoise: Denoiser, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless the denoiser maps a float array of `shape` to one of the same shape."""
    if not callable(denoise):
        raise InputError(f"the denoiser is {denoise!r}: expected a function (x, t) -> E[x_0 | x_t = x]")
    x = jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    out = jax.eval_shape(denoise, x, jax.ShapeDtypeStruct((), x.dtype))
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != x.shape or out.dtype != x.dtype:
        raise InputError(f"the denoiser maps {x} to {out}: expected the same shape and type")
