"""A forward SDE is two functions of time; everything else follows."""

import abc
import dataclasses
from typing import TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.typing import Array, Key, Time

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True)
def path(cls: Class) -> Class:
    """Make a class a frozen dataclass whose fields are the leaves of a pytree: the decorator of every path."""
    cls = dataclasses.dataclass(frozen=True)(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    # Not jax.tree_util.register_dataclass, whose classes compare equal as tree structures where they have equally many
    # fields (jaxlib 0.10.2): a compiled function would then, now and then, run one path's program on another.
    jax.tree_util.register_pytree_with_keys(
        cls,
        lambda path: ([(jax.tree_util.GetAttrKey(name), getattr(path, name)) for name in names], None),
        lambda _, leaves: cls(**dict(zip(names, leaves, strict=True))),
    )
    return cls


class GaussianPath(abc.ABC):
    """The process x_t | x_0 ~ N(alpha(t) x_0, variance(t) I) on t in [0, 1].

    A subclass, decorated with `@path`, states `log_alpha` and `variance`; both map a scalar t to a scalar (or to an
    array that broadcasts against x: a diagonal schedule). They describe the SDE dx = f x dt + g dw with

        f = d log_alpha / dt,    g^2 = d variance / dt - 2 f variance

    (Song et al. 2021, eq. 5; Karras et al. 2022, appendix B), in which no quotient appears, so that the rates stay
    finite at t = 0. The signal-to-noise ratio must fall with t.
    """

    @abc.abstractmethod
    def log_alpha(self, t: Time) -> Array:
        """Return log alpha(t)."""

    @abc.abstractmethod
    def variance(self, t: Time) -> Array:
        """Return the variance of x_t given x_0."""

    def prior_variance(self) -> Array:
        """Return the variance of the Gaussian that sampling starts from, at t = 1."""
        return self.variance(1.0)

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
        """Return the t in [0, 1] at which `log_snr(t)` is the given number, by bisection to float32 accuracy."""

        def halve(_, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            middle = 0.5 * (low + high)
            above = self.log_snr(middle) > log_snr
            return jnp.where(above, middle, low), jnp.where(above, high, middle)

        low = jnp.zeros_like(log_snr)
        return jax.lax.fori_loop(0, 40, halve, (low, jnp.ones_like(low)))[1]

    def rates(self, t: Time) -> tuple[Array, Array]:
        """Return (f, g^2) of dx = f x dt + g dw."""
        t = jnp.asarray(t, jnp.result_type(t, float))
        f = jax.jvp(self.log_alpha, (t,), (jnp.ones_like(t),))[1]
        variance, growth = jax.jvp(self.variance, (t,), (jnp.ones_like(t),))
        return f, growth - 2 * f * variance

    def drift(self, x: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return the drift f(t) x of the forward SDE."""
        return self.rates(t)[0] * x

    def diffusion(self, t: Time) -> Array:
        """Return the diffusion coefficient g(t) of the forward SDE."""
        return jnp.sqrt(self.rates(t)[1])

    def perturb(self, key: Key, x0: Float[Array, "..."], t: Time) -> tuple[Array, Array]:
        """Draw x_t given x_0; return (x_t, eps), both of the shape of x0, with x_t = alpha x_0 + sigma eps."""
        eps = jax.random.normal(key, x0.shape, x0.dtype)
        return self.alpha(t) * x0 + self.sigma(t) * eps, eps

    def transition(self, s: Time, t: Time) -> tuple[Array, Array]:
        """Return (scale, std) of x_t | x_s ~ N(scale x_s, std^2 I), for s < t.

        std = sigma_t sqrt(1 - exp(2 (lambda_t - lambda_s))), which stays finite where sigma_s or alpha_t is 0. Its
        relative error is that of the difference of the two log-SNRs.
        """
        scale = jnp.exp(self.log_alpha(t) - self.log_alpha(s))
        return scale, self.sigma(t) * jnp.sqrt(-jnp.expm1(2 * (self.log_snr(t) - self.log_snr(s))))

    def prior_sample(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draw one x at t = 1, of `shape`."""
        return jnp.sqrt(self.prior_variance()) * jax.random.normal(key, shape)

    def prior_log_prob(self, x: Float[Array, "..."]) -> Float[Array, ""]:
        """Return the log-density, in nats, of one x at t = 1 under the prior."""
        variance = jnp.broadcast_to(self.prior_variance(), x.shape)
        return -0.5 * jnp.sum(x**2 / variance + jnp.log(2 * jnp.pi * variance))


def known(*values: object) -> bool:
    """Return whether every value is a plain number.

    A path is rebuilt from its leaves inside transformations, where they are tracers or placeholders: only plain
    numbers can be checked at construction.
    """
    return all(isinstance(value, int | float) for value in values)
