"""The covariance of a measurement's noise."""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from sde_jax.errors import InputError
from sde_jax.pytree import component, concrete
from sde_jax.typing import Array, Key


class Noise(abc.ABC):
    """N(0, R) of the shape of y; a subclass states R.

    `observed`, bool of y's shape, says which entries count: R is restricted to them, and what is returned is 0
    elsewhere. `plus` adds that variance to every entry.
    """

    @abc.abstractmethod
    def multiply(self, u: Array) -> Array:
        """Return R u."""

    @abc.abstractmethod
    def whitened(self, residual: Array, observed: Array, plus: Array | float = 0.0) -> tuple[Array, Array]:
        """Return (L^-1 residual, log det L) with L L^T = R + plus I on the observed entries."""

    @abc.abstractmethod
    def inverse(self, observed: Array, plus: Array | float = 0.0) -> Callable[[Array], Array]:
        """Return u -> (R + plus I)^-1 u on the observed entries, which may be applied many times."""

    def solve(self, residual: Array, observed: Array, plus: Array | float = 0.0) -> Array:
        """Return (R + plus I)^-1 residual on the observed entries."""
        return self.inverse(observed, plus)(residual)

    @abc.abstractmethod
    def draw(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return a draw of N(0, R), of `shape`."""

    @abc.abstractmethod
    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` unless R is that of a y of `shape`, and positive definite."""

    def log_prob(self, residual: Array, observed: Bool[Array, "..."], plus: Array | float = 0.0) -> Float[Array, ""]:
        """Return log N(residual; 0, R + plus I) in nats, of the observed entries."""
        white, log_det = self.whitened(residual, observed, plus)
        return -0.5 * jnp.sum(white**2) - log_det - 0.5 * jnp.sum(observed) * jnp.log(2 * jnp.pi)


@component
class Independent(Noise):
    """R = diag(deviation^2): a number, or an array that broadcasts against y.

    Raises `InputError` for deviations that are not positive and finite.
    """

    deviation: Float[Array, "..."] | float

    def __post_init__(self):
        if isinstance(self.deviation, int | float | np.ndarray | jax.Array) and concrete(self.deviation):
            values = np.asarray(self.deviation)
            if not np.all((values > 0) & np.isfinite(values)):
                raise InputError(
                    f"{type(self).__name__}: deviations from {values.min(initial=0):g} to {values.max(initial=0):g}: "
                    "expected positive, finite numbers in the units of y"
                )

    def _variance(self, plus: Array | float) -> Array:
        return jnp.square(jnp.asarray(self.deviation)) + plus

    def multiply(self, u: Array) -> Array:
        """Return deviation^2 u."""
        return self._variance(0.0) * u

    def whitened(self, residual: Array, observed: Array, plus: Array | float = 0.0) -> tuple[Array, Array]:
        """Return (residual / deviation, sum log deviation)."""
        variance = jnp.broadcast_to(self._variance(plus), residual.shape)
        white = jnp.where(observed, residual / jnp.sqrt(variance), 0)
        return white, 0.5 * jnp.sum(jnp.where(observed, jnp.log(variance), 0))

    def inverse(self, observed: Array, plus: Array | float = 0.0) -> Callable[[Array], Array]:
        """Return u -> u / (deviation^2 + plus)."""
        return lambda u: jnp.where(observed, u / self._variance(plus), 0)

    def draw(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return deviation z."""
        return jnp.asarray(self.deviation) * jax.random.normal(key, shape)

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` unless the deviations broadcast against y."""
        own = jnp.shape(self.deviation)
        if len(own) > len(shape) or any(n not in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False)):
            raise InputError(
                f"noise of deviations of shape {own} for y of shape {shape}: expected a number, or {shape}"
            )


@component
class Correlated(Noise):
    """R = covariance, [n, n] for a y of n numbers in order.

    Raises `InputError` unless the covariance is square, symmetric and positive definite.
    """

    covariance: Float[Array, "n n"]

    def __post_init__(self):
        if not isinstance(self.covariance, np.ndarray | jax.Array) or not concrete(self.covariance):
            return
        r = np.asarray(self.covariance)
        expected = "expected [n, n], symmetric and positive definite"
        if r.ndim != 2 or r.shape[0] != r.shape[1] or not np.isfinite(r).all():
            raise InputError(f"Correlated: covariance of shape {r.shape}, or not finite: {expected}")
        if not np.allclose(r, r.T, rtol=1e-5, atol=1e-6 * np.abs(r).max(initial=0)):
            raise InputError(f"Correlated: covariance and transpose differ by {np.abs(r - r.T).max():.3g}: {expected}")
        lowest = np.linalg.eigvalsh(r).min(initial=np.inf)
        if not lowest > 0:
            raise InputError(f"Correlated: covariance with eigenvalue {lowest:.3g}: {expected}")

    def _factor(self, observed: Any, plus: Array | float) -> Array:
        """Return Cholesky's factor of R + plus I on the observed entries, of I on the others."""
        kept = observed.reshape(-1)
        r = jnp.where(kept[:, None] & kept, jnp.asarray(self.covariance), 0)
        return jnp.linalg.cholesky(r + jnp.diag(jnp.where(kept, plus, 1.0)))

    def multiply(self, u: Array) -> Array:
        """Return covariance u."""
        return (jnp.asarray(self.covariance) @ u.reshape(-1)).reshape(u.shape)

    def whitened(self, residual: Array, observed: Array, plus: Array | float = 0.0) -> tuple[Array, Array]:
        """Return (L^-1 residual, log det L)."""
        factor = self._factor(observed, plus)
        flat = jnp.where(observed, residual, 0).reshape(-1)
        white = jax.scipy.linalg.solve_triangular(factor, flat, lower=True)
        return white.reshape(residual.shape), jnp.sum(jnp.log(jnp.diag(factor)))

    def inverse(self, observed: Array, plus: Array | float = 0.0) -> Callable[[Array], Array]:
        """Return the solution by Cholesky's factor, which is found once."""
        factor = self._factor(observed, plus)
        flat = lambda u: jnp.where(observed, u, 0).reshape(-1)  # noqa: E731
        return lambda u: jax.scipy.linalg.cho_solve((factor, True), flat(u)).reshape(u.shape)

    def draw(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return L z."""
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        return (factor @ jax.random.normal(key, factor.shape[:1])).reshape(shape)

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` unless there is a row for each number of y."""
        own, count = jnp.shape(self.covariance), int(np.prod(shape))
        if own != (count, count):
            raise InputError(f"noise of covariance {own} for y of shape {shape}: expected [{count}, {count}]")
