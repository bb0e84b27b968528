"""Bits per dimension."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.likelihood.dequantize import Quantization
from sde_jax.likelihood.divergence import Divergence
from sde_jax.likelihood.flow import log_likelihood
from sde_jax.ode import Tolerance
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key


class BitsPerDim(NamedTuple):
    """The bits per dimension of one image.

    value: bits per dimension; standard_error: of its trace estimate alone, in bits per dimension; evaluations:
    denoiser calls.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    evaluations: Int[Array, ""]


def bits_per_dim(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    image: Int[Array, "..."],
    quantization: Quantization,
    *,
    divergence: Divergence | None = None,
    tolerance: Tolerance | None = None,
    start: float = 1e-5,
) -> BitsPerDim:
    """Return the bits per dimension of ONE image of integers: lift a batch with `jax.vmap`.

    A draw of -log2 p(x) / n - log2(cell) with x uniform in the image's cell: its mean over draws bounds the bits
    per dimension of the discrete model from above (Theis et al. 2016, eq. 10 ff.). n counts the image's numbers.
    Arguments and errors as in `log_likelihood`.
    """
    first, second = jax.random.split(key)
    x = quantization.dequantize(first, image)
    result = log_likelihood(second, sde, denoise, x, divergence=divergence, tolerance=tolerance, start=start)
    to_bits = 1 / (image.size * jnp.log(2.0))
    return BitsPerDim(
        -result.value * to_bits - jnp.log2(quantization.cell),
        result.standard_error * to_bits,
        result.evaluations,
    )
