"""From a network to a denoiser."""

from collections.abc import Callable

from sde_jax.prediction.parameterization import Parameterization
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


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
