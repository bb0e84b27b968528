"""From a network to a denoiser."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.checks import require
from sde_jax.errors import InputError, takes_components
from sde_jax.prediction.parameterization import Parameterization
from sde_jax.prediction.tweedie import Estimates, Estimator, noise_beside, require_no_score
from sde_jax.pytree import concrete
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


@takes_components
def denoiser(
    network: Callable[[Array, Time], Array], sde: GaussianPath, parameterization: Parameterization
) -> Estimator:
    """Return (x, t) -> c_skip y + c_out F(c_in y, c_noise), the estimate of E[x_0 | x_t = x], with y = x - b(t).

    `network(y, noise)` is F: an `apply` with its parameters (and dropout key) closed over. The denoiser has the
    estimate of the noise from F too (`Estimates`), without the subtraction that loses its digits where sigma is small.
    """

    def estimates(x: Array, t: Time) -> Estimates:
        c, y = parameterization.coefficients(sde, t), x - sde.offset(t)
        output = network(c.scale_in * y, c.noise)
        clean = c.skip * y + c.out * output
        if c.noise_estimate is None:
            return Estimates(clean, noise_beside(sde, clean, x, t))
        skip, out = c.noise_estimate
        return Estimates(clean, skip * y + out * output)

    return Estimator(estimates)


def check_denoiser(denoise: Denoiser, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless the denoiser maps a float array of `shape` to one of the same shape.

    The mistakes that can be told without evaluating a network are named: a score that `score_of` made; arguments
    exchanged, where they are called (t, x) or fit in that order alone; and, of a function of single numbers, one that
    falls as x rises, which no posterior mean does: a score, or exchanged arguments. Nothing here can tell whether a
    network was trained, or for this path.
    """
    if not callable(denoise):
        raise InputError(f"the denoiser is {denoise!r}: expected a function (x, t) -> E[x_0 | x_t = x]")
    require_no_score(denoise)
    x = jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    t = jax.ShapeDtypeStruct((), x.dtype)
    try:
        out = jax.eval_shape(denoise, x, t)
    except Exception:
        if _maps(denoise, (t, x), x):
            raise InputError(EXCHANGED) from None
        raise
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != x.shape or out.dtype != x.dtype:
        if _maps(denoise, (t, x), x):
            raise InputError(EXCHANGED)
        raise InputError(f"the denoiser maps {x} to {out}: expected the same shape and type")
    # an approximate posterior, which is told its sampler, may fall: it is no function of a user's
    if not (hasattr(denoise, "estimates") or hasattr(denoise, "sampled_at")):
        _check_function(denoise)


def check_single(denoise: Denoiser, x: Array, t: Time) -> Array:
    """Return x; raise, at the latest when it is computed, where the denoiser takes x's first axis for a batch.

    That is where it takes a row alone but not a number, and what it makes of the first row is the same with the others
    and without. A function of single numbers is not refused: to it [5, 2] may be one example of ten. Raises as
    `check_denoiser` does too.
    """
    check_denoiser(denoise, x.shape)
    number = jax.ShapeDtypeStruct((), x.dtype)
    row = jax.ShapeDtypeStruct(x.shape[1:], x.dtype)
    if x.ndim < 2 or len(x) < 2 or not _maps(denoise, (row, number), row) or _maps(denoise, (number, number), number):
        return x
    alone, beside = denoise(x[0], t), denoise(x, t)[0]
    same = jnp.max(jnp.abs(alone - beside)) <= 1e-4 * jnp.max(jnp.abs(alone))
    message = f"x of shape {x.shape}, of which the denoiser takes each row for itself: expected one; lift by jax.vmap"
    if concrete(same) and same:
        raise InputError(message)
    return require(x, ~same, message)


EXCHANGED = "the denoiser takes its arguments as (t, x): expected (x, t) -> E[x_0 | x_t = x]"


def _maps(denoise: Denoiser, arguments: tuple[Any, Any], like: jax.ShapeDtypeStruct) -> bool:
    """Return whether the denoiser maps arguments of these shapes to what is `like` the third."""
    try:
        out = jax.eval_shape(denoise, *arguments)
    except Exception:  # whatever a user's function raises of shapes it was not written for
        return False
    return isinstance(out, jax.ShapeDtypeStruct) and (out.shape, out.dtype) == (like.shape, like.dtype)


def _check_function(denoise: Denoiser) -> None:
    """Raise `InputError` for a function of a user's whose names, or values at single numbers, tell a mistake."""
    try:
        names = [*inspect.signature(denoise).parameters][:2]
    except (TypeError, ValueError):
        names = []
    if names in (["t", "x"], ["time", "x"]):
        raise InputError(EXCHANGED)
    number = jax.ShapeDtypeStruct((), jnp.result_type(float))
    if not _maps(denoise, (number, number), number):
        return
    with jax.ensure_compile_time_eval():
        at = [(jnp.asarray(x), jnp.asarray(t)) for x in (0.1, 0.9) for t in (0.1, 0.5, 0.9)]
        values = [denoise(x, t) for x, t in at]
    if concrete(values) and np.all(np.asarray(values[3:]) < np.asarray(values[:3])):
        raise InputError(
            "the denoiser falls from x = 0.1 to x = 0.9 at t = 0.1, 0.5 and 0.9: no E[x_0 | x_t = x] of one number "
            "does; is it a score (`denoiser_of` makes a denoiser of one), or are its arguments exchanged?"
        )
