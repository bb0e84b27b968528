"""A forward SDE is two functions of time; everything else follows."""

import abc
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike, Float

from sde_jax.errors import InputError
from sde_jax.pytree import component, concrete
from sde_jax.typing import Array, Key, Time

path = component
"""The decorator of every path and of every part of one."""


class GaussianPath(abc.ABC):
    """The process x_t | x_0 ~ N(alpha(t) x_0 + offset(t), variance(t) I) on t in [0, 1].

    A subclass, decorated with `@path`, states `log_alpha` and `variance`; both map a scalar t to a scalar (or to an
    array that broadcasts against x: a diagonal schedule). They describe the SDE

        dx = (f (x - b) + b') dt + g dw,    f = d log_alpha / dt,    g^2 = d variance / dt - 2 f variance,

    b = offset(t), which is 0 unless a subclass says otherwise (Song et al. 2021, eq. 5; Karras et al. 2022, appendix
    B). No quotient appears, so that the rates stay finite at t = 0. The signal-to-noise ratio must fall with t.

    Three further hooks serve processes that are Gaussian in coordinates of their own: `noise`, the eps of every draw,
    and the bijection `from_data` between data and x_0, with its inverse and its volume.
    """

    @abc.abstractmethod
    def log_alpha(self, t: Time) -> Array:
        """Return log alpha(t)."""

    @abc.abstractmethod
    def variance(self, t: Time) -> Array:
        """Return the variance of x_t given x_0."""

    def offset(self, t: Time) -> Array:
        """Return b(t), what x_t is shifted by: 0, or an array that broadcasts against x, and 0 at t = 0."""
        return jnp.zeros_like(jnp.asarray(t, float))

    def given(self, facts: Mapping[str, Array | np.ndarray]) -> "GaussianPath":
        """Return the process of ONE example of which these facts are known: itself, whatever they are."""
        return self

    def prior_mean(self) -> Array:
        """Return the mean of the Gaussian that sampling starts from, at t = 1."""
        return self.offset(1.0)

    def prior_variance(self) -> Array:
        """Return the variance of the Gaussian that sampling starts from, at t = 1."""
        return self.variance(1.0)

    def noise(self, key: Key, shape: tuple[int, ...], dtype: DTypeLike = float) -> Array:
        """Draw eps, a standard normal of `shape`: the one source of noise of the forward and the reverse process."""
        return jax.random.normal(key, shape, dtype)

    def from_data(self, data: Any) -> Array:
        """Return the x_0 that stands for one example of the data: the example itself."""
        return data

    def to_data(self, x0: Array) -> Any:
        """Return the example that x_0 stands for; the inverse of `from_data`."""
        return x0

    def log_volume(self, data: Any) -> Float[Array, ""]:
        """Return log |det d from_data / d data| at one example, in nats."""
        return jnp.zeros(())

    def alpha(self, t: Time) -> Array:
        """Return the scale of x_0 in x_t."""
        return jnp.exp(self.log_alpha(t))

    def sigma(self, t: Time) -> Array:
        """Return the standard deviation of x_t given x_0."""
        return jnp.sqrt(self.variance(t))

    def log_snr(self, t: Time) -> Array:
        """Return lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio."""
        return self.log_alpha(t) - 0.5 * jnp.log(self.variance(t))

    def time_of(self, log_snr: Float[Array, ""]) -> Float[Array, ""]:
        """Return the t in [0, 1] at which `log_snr(t)` is the given number, by bisection to the last digit.

        Of a diagonal schedule the mean log-SNR is meant.
        """
        low = jnp.zeros_like(jnp.asarray(log_snr, float))
        halvings = 2 + jnp.finfo(low.dtype).nmant + 10  # ten more, for the digits of times near 0

        def halve(_, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            middle = 0.5 * (low + high)
            above = jnp.mean(self.log_snr(middle)) > log_snr
            return jnp.where(above, middle, low), jnp.where(above, high, middle)

        return jax.lax.fori_loop(0, halvings, halve, (low, jnp.ones_like(low)))[1]

    def rates(self, t: Time) -> tuple[Array, Array]:
        """Return (f, g^2) of dx = f x dt + g dw."""
        t = jnp.asarray(t, jnp.result_type(t, float))
        f = jax.jvp(self.log_alpha, (t,), (jnp.ones_like(t),))[1]
        variance, growth = jax.jvp(self.variance, (t,), (jnp.ones_like(t),))
        return f, growth - 2 * f * variance

    def speeds(self, t: Time) -> tuple[Array, Array]:
        """Return (d alpha / dt, d sigma / dt), which may be finite where alpha or sigma is 0 and `rates` are not."""
        t = jnp.asarray(t, jnp.result_type(t, float))
        return jax.jvp(lambda t: (self.alpha(t), self.sigma(t)), (t,), (jnp.ones_like(t),))[1]

    def drift(self, x: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return the drift f(t) (x - b(t)) + b'(t) of the forward SDE."""
        t = jnp.asarray(t, jnp.result_type(t, float))
        b, speed = jax.jvp(self.offset, (t,), (jnp.ones_like(t),))
        return self.rates(t)[0] * (x - b) + speed

    def diffusion(self, t: Time) -> Array:
        """Return the diffusion coefficient g(t) of the forward SDE."""
        return jnp.sqrt(self.rates(t)[1])

    def mix(self, x0: Float[Array, "..."], eps: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return x_t = alpha x_0 + b + sigma eps."""
        require_fitting(self, x0.shape)
        return self.alpha(t) * x0 + self.offset(t) + self.sigma(t) * eps

    def perturb(self, key: Key, x0: Float[Array, "..."], t: Time) -> tuple[Array, Array]:
        """Draw x_t given x_0; return (x_t, eps), both of the shape of x0."""
        x0 = state_of(self, x0)
        eps = self.noise(key, x0.shape, x0.dtype)
        return self.mix(x0, eps, t), eps

    def transition(self, s: Time, t: Time) -> tuple[Array, Array]:
        """Return (scale, std) of x_t - b_t | x_s ~ N(scale (x_s - b_s), std^2 I), for s < t.

        std = sigma_t sqrt(1 - exp(2 (lambda_t - lambda_s))), which stays finite where sigma_s or alpha_t is 0. Its
        relative error is that of the difference of the two log-SNRs.
        """
        scale = jnp.exp(self.log_alpha(t) - self.log_alpha(s))
        return scale, self.sigma(t) * jnp.sqrt(-jnp.expm1(2 * (self.log_snr(t) - self.log_snr(s))))

    def prior_sample(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draw one x at t = 1, of `shape`."""
        require_fitting(self, shape)
        return self.prior_mean() + jnp.sqrt(self.prior_variance()) * self.noise(key, shape)

    def prior_log_prob(self, x: Float[Array, "..."]) -> Float[Array, ""]:
        """Return the log-density, in nats, of one x at t = 1 under the prior."""
        x = state_of(self, x)
        variance = jnp.broadcast_to(self.prior_variance(), x.shape)
        return -0.5 * jnp.sum((x - self.prior_mean()) ** 2 / variance + jnp.log(2 * jnp.pi * variance))


def require_path(sde: Any) -> None:
    """Raise `InputError` for what is no path."""
    if not isinstance(sde, GaussianPath):
        raise InputError(f"sde = {sde!r}: expected a path, such as VP()")


def require_fitting(sde: GaussianPath, shape: tuple[int, ...]) -> None:
    """Raise `InputError`, naming both shapes, unless alpha, sigma and the offset broadcast against an x of `shape`."""
    for name in ("log_alpha", "variance", "offset"):
        own = jax.eval_shape(getattr(sde, name), 1.0).shape
        meeting = zip(own[::-1], shape[::-1], strict=False)
        if len(own) > len(shape) or any(n not in (1, m) for n, m in meeting):
            raise InputError(
                f"{type(sde).__name__}: {name} of shape {own} for x of shape {shape}: expected a number, or an array "
                "that broadcasts against x"
            )


def state_of(sde: GaussianPath, x: Any) -> Array:
    """Return x as an array of floating-point numbers, of JAX's default precision or more.

    Raises `InputError` for an x of whole or complex numbers, and for one that alpha, sigma and the offset do not
    broadcast against.
    """
    if not isinstance(x, jax.Array | np.ndarray | float | list | tuple):
        raise InputError(f"x = {x!r}: expected an array of floating-point numbers")
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"x of type {x.dtype}: expected floating-point numbers; convert them, images of integers by `Quantization`"
        )
    require_fitting(sde, x.shape)
    return x.astype(jnp.promote_types(x.dtype, jnp.result_type(float)))


def require_falling(sde: GaussianPath, points: int = 257) -> None:
    """Raise `InputError`, naming the time, unless log_snr falls strictly on a uniform grid of [0, 1].

    Inside a transformation a path whose numbers are traced has no values to look at, and passes.
    """
    require_path(sde)
    if not concrete(sde):
        return
    times = np.linspace(0.0, 1.0, points)
    with jax.ensure_compile_time_eval():
        log_snr = np.array(jax.vmap(sde.log_snr)(jnp.asarray(times))).reshape(points, -1)
    rises = np.flatnonzero(~np.all(log_snr[1:] < log_snr[:-1], axis=1))
    if rises.size:
        s, t = times[rises[0]], times[rises[0] + 1]
        raise InputError(
            f"{type(sde).__name__}: log(alpha / sigma) does not fall between t = {s:g} and t = {t:g}: expected "
            "alpha(t) / sigma(t) to fall strictly from t = 0 (data) to t = 1 (noise)"
        )
