"""From a network to a denoiser."""

from collections.abc import Callable

from sde_jax.prediction.parameterization import Parameterization
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


def denoiser(
    network: Callable[[Array, Time], Array], sde: GaussianPath, parameterization: Parameterization
) -> Denoiser:
    """Return (x, t) -> c_skip x + c_out F(c_in x, c_noise), the estimate of E[x_0 | x_t = x].

    `network(x, noise)` is F: an `apply` with its parameters (and dropout key) closed over.
    """

    def denoise(x: Array, t: Time) -> Array:
        c = parameterization.coefficients(sde, t)
        return c.skip * x + c.out * network(c.scale_in * x, c.noise)

    return denoise
