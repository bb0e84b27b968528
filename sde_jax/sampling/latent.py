"""Data as latents of the probability flow, and back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float, Int

from sde_jax.checks import require
from sde_jax.errors import InputError, takes_components
from sde_jax.ode import Method, Tolerance, check_start, integrate
from sde_jax.prediction import check_denoiser
from sde_jax.pytree import in_one_line, known
from sde_jax.reverse import reverse
from sde_jax.sampling.ends import check_velocity
from sde_jax.sde import GaussianPath, require_falling, state_of
from sde_jax.typing import Array, Denoiser, Time


@in_one_line
class Coded(NamedTuple):
    """One example carried to the other end of the flow: `x` there, and how often the denoiser was called."""

    x: Any
    evaluations: Int[Array, ""]


@takes_components
def encode(
    sde: GaussianPath,
    denoise: Denoiser,
    data: Any,
    *,
    tolerance: Tolerance | None = None,
    solver: Method | None = None,
    start: float = 1e-5,
    end: float = 1.0,
) -> Coded:
    """Return the latent of ONE example of the data: x(end) of the probability flow from x(start) = from_data(data).

    Song et al. 2021, section 4.3. Lift a batch with `jax.vmap`. The latent is a state of the path, at t = `end` and
    with its offset. Raises `InputError` unless start < end <= 1, and as `integrate` does, for a path whose log-SNR does
    not fall and for a denoiser that changes shape or type.
    """
    _check_ends(start, end)
    return _carry(encode, sde, denoise, sde.from_data(data), start, end, tolerance, solver)


@takes_components
def decode(
    sde: GaussianPath,
    denoise: Denoiser,
    latent: Float[Array, "..."],
    *,
    temperature: float = 1.0,
    tolerance: Tolerance | None = None,
    solver: Method | None = None,
    start: float = 1e-5,
    end: float = 1.0,
) -> Coded:
    """Return the example of ONE latent at t = `end`, the inverse of `encode`: lift a batch with `jax.vmap`.

    The latent is first moved to c + sqrt(temperature) (latent - c), c the prior's mean: of a draw from the prior, a
    draw from one whose variance is `temperature` times as large. At an earlier `end` c is the point from which the
    forward process comes to that mean. Raises `InputError` for a negative temperature, and as `encode` does.
    """
    _check_ends(start, end)
    if known(temperature) and not 0 <= temperature < float("inf"):
        raise InputError(f"temperature = {temperature}: expected a finite number >= 0")
    centre, latent = _centre(sde, end), state_of(sde, latent)
    latent = centre + jnp.sqrt(temperature) * (latent - centre)
    coded = _carry(decode, sde, denoise, latent, end, start, tolerance, solver)
    return Coded(sde.to_data(coded.x), coded.evaluations)


def interpolate(
    one: Float[Array, "..."], other: Float[Array, "..."], weights: Float[ArrayLike, " k"], centre: Array | float = 0.0
) -> Float[Array, "k ..."]:
    """Return the latents between two: their direction from `centre` turns evenly, their distance changes evenly.

    Weight 0 is `one`, 1 is `other`; `centre` should be the prior's mean, which is not 0 on every path. With theta the
    angle between the unit vectors a and b (Shoemake 1985),

        direction = (sin((1 - w) theta) a + sin(w theta) b) / sin(theta),   distance = (1 - w) |one| + w |other|.

    A Gaussian in many dimensions lives near a sphere, which straight lines leave. Raises `InputError` for latents of
    different shapes; raises, when the result is computed, where a direction or the way between the two is undefined:
    at the centre, and between opposite latents.
    """
    w = jnp.asarray(weights)
    if one.shape != other.shape or w.ndim != 1:
        raise InputError(
            f"interpolate: latents of shapes {one.shape} and {other.shape}, weights of shape {w.shape}: expected two "
            "of one shape, and [k]"
        )
    (a, near), (b, far) = (_polar(latent - centre) for latent in (one, other))
    # atan2 of half the chords keeps its digits at small angles, where the arc cosine has none
    theta = 2 * jnp.arctan2(jnp.linalg.norm((a - b).ravel()), jnp.linalg.norm((a + b).ravel()))
    theta = require(theta, theta < 0.999 * jnp.pi, "interpolate: no way between opposite or central latents")

    def between(w: Array) -> Array:
        share = [v * jnp.sinc(v * theta / jnp.pi) / jnp.sinc(theta / jnp.pi) for v in (1 - w, w)]
        return centre + ((1 - w) * near + w * far) * (share[0] * a + share[1] * b)

    return jax.vmap(between)(w)


def _centre(sde: GaussianPath, t: Time) -> Array:
    """Return b(t) + (alpha(t) / alpha(1)) (prior_mean - b(1)), the prior's mean at t = 1."""
    alpha, last = sde.alpha(t), sde.alpha(1.0)
    back = jnp.where(last == 0, t == 1.0, alpha / jnp.where(last == 0, 1.0, last))
    return sde.offset(t) + back * (sde.prior_mean() - sde.offset(1.0))


def _polar(x: Array) -> tuple[Array, Array]:
    norm = jnp.linalg.norm(x.ravel())
    return x / norm, norm


def _check_ends(start: float, end: float) -> None:
    check_start(start)
    if known(end) and not start < end <= 1:
        raise InputError(f"end = {end}: expected start = {start:g} < end <= 1")


def _carry(
    way: Callable[..., Coded],
    sde: GaussianPath,
    denoise: Denoiser,
    x: Array,
    start: float,
    end: float,
    tolerance: Tolerance | None,
    solver: Method | None,
) -> Coded:
    x = state_of(sde, x)
    require_falling(sde)
    check_denoiser(denoise, x.shape)
    for t in (start, end):
        check_velocity(way, sde, t)
    velocity = reverse(sde, denoise, churn=0.0).drift
    flow = integrate(velocity, x, start, jnp.full(1, end, x.dtype), tolerance or Tolerance(), solver)
    return Coded(flow.values[-1], flow.evaluations)
