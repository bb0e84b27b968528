"""Bits per dimension."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Num

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.likelihood.dequantize import Dequantizer
from sde_jax.likelihood.divergence import Divergence
from sde_jax.likelihood.encoding import Encoding
from sde_jax.likelihood.flow import log_likelihood, log_likelihoods, start_below
from sde_jax.ode import Method, Tolerance
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class BitsPerDim(NamedTuple):
    """The bits per dimension of one example.

    value: bits per dimension; standard_error: of the trace estimate, or of the bound's times, alone, in bits per
    dimension; evaluations: denoiser calls; blur: that of `log_likelihood`, NaN of a bound.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    evaluations: Int[Array, ""]
    blur: Float[Array, ""]


@takes_components
def bits_per_dim(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    data: Num[Array, "..."],
    encoding: Encoding,
    *,
    divergence: Divergence | None = None,
    tolerance: Tolerance | None = None,
    solver: Method | None = None,
    start: Time | None = None,
    dequantizer: Dequantizer | None = None,
    bound: Callable[..., Any] | None = None,
) -> BitsPerDim:
    """Return the bits per dimension of ONE example: lift a batch with `jax.vmap`.

    Of whole numbers, encoded by a `Quantization`: a draw of (-log2 p(x) + log2 q(u | image)) / n - log2(cell) with x
    at the fractions u of the image's cell, uniform unless `dequantizer` says otherwise: its mean over draws bounds the
    bits per dimension of the discrete model from above (Theis et al. 2016, eq. 10 ff.). Of real numbers, encoded by a
    `data.Scaling`: -log2 of the density in the data's own units, over n, which may be negative and is comparable
    between models of the same data alone. n counts the example's numbers. log p is `log_likelihood`, or `bound`, such
    as `elbo`: a function (key, sde, denoise, x, start=start) whose result has value, standard_error and evaluations.
    start: by default 1e-5, or earlier, where sigma / alpha is a tenth of a level's cell. Raises as these do, and
    `InputError` for a divergence, tolerance or solver beside a bound.
    """
    if bound is not None and not (divergence is tolerance is solver is None):
        raise InputError("bits_per_dim: a bound solves no ODE: expected no divergence, tolerance or solver beside it")
    x, log_q, second, begin = _drawn(key, sde, data, encoding, start, dequantizer)
    if bound is None:
        settings: dict[str, Any] = {"divergence": divergence, "tolerance": tolerance, "solver": solver}
        result = log_likelihood(second, sde, denoise, x, start=begin, **settings)
    else:
        result = bound(second, sde, denoise, x, start=begin)
    return _in_bits(result, log_q, encoding, x.size)


@takes_components
def bits_per_dims(
    keys: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    data: Num[Array, "n ..."],
    encoding: Encoding,
    *,
    lanes: int = 64,
    divergence: Divergence | None = None,
    tolerance: Tolerance | None = None,
    solver: Method | None = None,
    start: Time | None = None,
    dequantizer: Dequantizer | None = None,
) -> BitsPerDim:
    """Return `bits_per_dim` of every one of `keys` [n] and of `data` [n, ...], in their order.

    `lanes` of them are scored at once, and none waits for another, as by `log_likelihoods`. Raises as these do.
    """
    data = jnp.asarray(data)
    if data.shape[:1] != keys.shape[:1] or not len(data):
        raise InputError(f"{data.shape[:1]} examples for {keys.shape[:1]} keys: expected as many, one or more")
    drawn = jax.vmap(lambda key, data: _drawn(key, sde, data, encoding, start, dequantizer)[:3])
    x, log_q, seconds = drawn(keys, data)
    settings: dict[str, Any] = {"divergence": divergence, "tolerance": tolerance, "solver": solver}
    begin = _start(encoding, sde, start)
    results = log_likelihoods(seconds, sde, denoise, x, lanes=lanes, start=begin, **settings)
    return jax.vmap(lambda result, log_q: _in_bits(result, log_q, encoding, x[0].size))(results, log_q)


def _drawn(
    key: Key,
    sde: GaussianPath,
    data: Num[Array, "..."],
    encoding: Encoding,
    start: Time | None,
    dequantizer: Dequantizer | None,
) -> tuple[Array, Array, Key, Time]:
    """Return an x_0 of one example, the log-density of its draw, a key for the rest, and the start."""
    begin, (first, second), data = _start(encoding, sde, start), jax.random.split(key), encoding.guarded(data)
    if data.size == 0:
        raise InputError(f"an image of shape {data.shape}: expected one or more numbers")
    x, log_q = encoding.draw(first, data, dequantizer)
    return x, log_q, second, begin


def _in_bits(result: Any, log_q: Array, encoding: Encoding, size: int) -> BitsPerDim:
    """Return a log-likelihood, or a bound of it, in bits per dimension of data of `size` numbers."""
    to_bits = 1 / (size * jnp.log(2.0))
    bits = (log_q - result.value) * to_bits + encoding.log2_scale
    blur = getattr(result, "blur", jnp.nan * bits)
    return BitsPerDim(bits, result.standard_error * to_bits, result.evaluations, blur)


def _start(encoding: Encoding, sde: GaussianPath, start: Time | None) -> Time:
    """Return the start: by default 1e-5, or the earlier time that a level's cell asks for."""
    cell = getattr(encoding, "cell", None)
    if start is not None or cell is None:
        return 1e-5 if start is None else start
    return start_below(sde, cell, share=0.1)


def importance_weighted(bits: Float[Array, " k"], size: int) -> Float[Array, ""]:
    """Return the tighter bound from k draws of one image's bits per dimension: -log2(mean 2^(-size bits)) / size.

    Its expectation falls to the bits of the discrete model as k grows (Burda et al. 2016, theorem 1). `size` counts
    the image's numbers. Raises `InputError` for no draws.
    """
    bits = jnp.asarray(bits)
    if bits.ndim != 1 or bits.size == 0 or not whole(size, 1):
        raise InputError(f"bits of shape {bits.shape} for size = {size}: expected [k], k >= 1, and size >= 1")
    nats = -jnp.log(2.0) * size * bits
    return -(jax.nn.logsumexp(nats) - jnp.log(len(bits))) / (size * jnp.log(2.0))
