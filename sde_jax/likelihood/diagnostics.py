"""What a network's score lacks of being the score of a diffusion."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.checks import finite
from sde_jax.errors import InputError, takes_components, whole
from sde_jax.likelihood.divergence import Divergence, Exact, linear
from sde_jax.likelihood.probes import Rademacher
from sde_jax.prediction import score_of
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
def fokker_planck_residual(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    x: Float[Array, "..."],
    t: Time,
    *,
    divergence: Divergence | None = None,
) -> Float[Array, "..."]:
    """Return the residual of the score Fokker-Planck equation at one x and t, of the shape of x (Lai et al. 2023):

        R = d_t s - grad_x [ g^2 / 2 (div s + |s|^2) - drift . s ],

    0 wherever s is the score of the process; div drift does not depend on x. `divergence`, by default `Exact()`, is
    of s: with a random one R is unbiased. `key` draws its probes. At small t the terms grow like sigma^-3 and cancel.
    Raises, when it is computed, where it is not finite.
    """
    divergence = Exact() if divergence is None else divergence
    t = jnp.asarray(t, jnp.result_type(t, float))
    score, g2 = score_of(denoise, sde), sde.rates(t)[1]
    probes = divergence.probes(key, x.shape).astype(x.dtype)

    def growth(x: Array) -> Array:
        s, matvec = linear(lambda x: score(x, t), x)
        spread = jnp.mean(divergence.estimates(matvec, probes)) + jnp.sum(s**2)
        return 0.5 * g2 * spread - jnp.sum(sde.drift(x, t) * s)

    change = jax.jvp(lambda t: score(x, t), (t,), (jnp.ones_like(t),))[1]
    return finite(change - jax.grad(growth)(x), "the Fokker-Planck residual is NaN or infinite: look at t, x and s")


@takes_components
def jacobian_asymmetry(
    key: Key, denoise: Denoiser, x: Float[Array, "..."], t: Time, *, probes: int = 16
) -> Float[Array, ""]:
    """Return |J - J^T| / |J| in the Frobenius norm, J the denoiser's Jacobian at one x and t: from 0 to 2.

    0 where the denoiser's score is a gradient, sqrt(2) where J and J^T are unrelated. Squares of the norms are means of
    |J e - J^T e|^2 and |J e|^2 over random signs e, one product with J and J^T each; with as many probes as numbers
    in x the unit vectors take their place, and the norms are exact. 0 where J is 0. Raises `InputError` unless
    probes >= 1, and, when it is computed, where J is not finite.
    """
    if not whole(probes, 1):
        raise InputError(f"jacobian_asymmetry: probes = {probes}: expected at least one")
    drawn = Rademacher().draw(key, (probes, *x.shape)) if probes < x.size else Exact().probes(key, x.shape)
    forward = linear(lambda x: denoise(x, t), x)[1]
    backward = jax.vjp(lambda x: denoise(x, t), x)[1]
    there = forward(drawn.astype(x.dtype))
    back = jax.vmap(lambda e: backward(e)[0])(drawn.astype(x.dtype))
    size = finite(jnp.sum(there**2), "the denoiser's Jacobian holds NaN or infinity: look at x and t")
    return jnp.sqrt(jnp.sum((there - back) ** 2) / jnp.where(size > 0, size, 1.0))
