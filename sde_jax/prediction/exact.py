"""Denoisers in closed form: the oracles that every part of the library is tested against."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction.histogram import HistogramDenoiser as HistogramDenoiser
from sde_jax.prediction.tweedie import Estimates
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time


class _Marginal:
    """N(alpha mean + offset, alpha covariance alpha + variance), alpha and variance being diagonal matrices.

    A full covariance is diagonal in its eigenbasis under a scalar schedule; under a diagonal one it is factorised.
    """

    def __init__(self, sde: GaussianPath, mean: ArrayLike, covariance: ArrayLike):
        self.sde, self.mean, self.covariance = sde, jnp.asarray(mean, float).reshape(-1), jnp.asarray(covariance, float)
        shape = self.covariance.shape
        if len({self.mean.size, *shape} - {1}) > 1 or len(shape) > 2:
            raise InputError(
                f"mean of shape {jnp.shape(mean)} with covariance of shape {shape}: expected a mean of n "
                "numbers with a covariance of shape [n, n], [n] (diagonal) or [] (isotropic)"
            )
        self.diagonal = jax.eval_shape(sde.log_snr, 0.5).shape != ()
        self.spectrum, self.basis = self.covariance, None
        if len(shape) == 2 and not self.diagonal:
            self.spectrum, self.basis = jnp.linalg.eigh(self.covariance)

    def schedule(self, x: Array, t: Time) -> tuple[Array, Array, Array]:
        """Return alpha and variance, of one number or of each of x, and x - offset - alpha mean."""
        alpha, variance = self.sde.alpha(t), self.sde.variance(t)
        if self.diagonal:
            alpha, variance = (jnp.broadcast_to(value, x.shape).reshape(-1) for value in (alpha, variance))
        return alpha, variance, (x - self.sde.offset(t)).reshape(-1) - alpha * self.mean

    def factor(self, alpha: Array, variance: Array) -> Array:
        """Return Cholesky's factor of alpha covariance alpha + variance."""
        return jnp.linalg.cholesky(alpha[:, None] * self.covariance * alpha + jnp.diag(variance))

    def estimates(self, x: Array, t: Time) -> Estimates:
        """Return mean + covariance alpha w and sigma w, (alpha covariance alpha + variance) w = x - b - alpha mean."""
        alpha, variance, z = self.schedule(x, t)
        if self.spectrum.ndim == 2:
            w = jax.scipy.linalg.cho_solve((self.factor(alpha, variance), True), z)
            return Estimates(self.mean + self.covariance @ (alpha * w), jnp.sqrt(variance) * w)
        z = z if self.basis is None else z @ self.basis
        w = z / (alpha**2 * self.spectrum + variance)
        parts = alpha * self.spectrum * w, jnp.sqrt(variance) * w
        clean, noise = parts if self.basis is None else (self.basis @ part for part in parts)
        return Estimates(self.mean + clean, noise)

    def log_prob(self, x: Array, t: Time) -> Array:
        """Return log p_t(x) in nats."""
        alpha, variance, z = self.schedule(x, t)
        if self.spectrum.ndim == 2:
            factor = self.factor(alpha, variance)
            z, variances = jax.scipy.linalg.solve_triangular(factor, z, lower=True), jnp.diag(factor) ** 2
            return -0.5 * jnp.sum(z**2 + jnp.log(2 * jnp.pi * variances))
        z, variances = z if self.basis is None else z @ self.basis, alpha**2 * self.spectrum + variance
        return -0.5 * jnp.sum(z**2 / variances + jnp.log(2 * jnp.pi * variances))


@takes_components
class GaussianDenoiser:
    """E[x_0 | x_t = x] for data from N(mean, covariance) of n numbers, x of any shape of n numbers.

    mean: n numbers or one; covariance: [n, n], [n] (diagonal) or a scalar (isotropic), positive semi-definite.
    `log_prob(x, t)` is the exact log-density of x_t in nats. Raises `InputError` where the shapes do not fit.
    """

    def __init__(self, sde: GaussianPath, mean: ArrayLike, covariance: ArrayLike):
        self._marginal = _Marginal(sde, mean, covariance)

    def __call__(self, x: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return the posterior mean of x_0, of the shape of x."""
        return self.estimates(x, t).clean

    def estimates(self, x: Float[Array, "..."], t: Time) -> Estimates:
        """Return the posterior means of x_0 and of eps, both of the shape of x."""
        return jax.tree.map(lambda part: part.reshape(x.shape), self._marginal.estimates(x, t))

    def log_prob(self, x: Float[Array, "..."], t: Time) -> Float[Array, ""]:
        """Return log p_t(x) in nats."""
        return self._marginal.log_prob(x, t)


@takes_components
class MixtureDenoiser:
    """E[x_0 | x_t = x] for data from sum_k weights_k N(means_k, covariances_k), x of any shape of n numbers.

    weights: [k], positive, normalised here; means: [k, n]; covariances: [k, n, n], [k, n] (diagonal) or [k]
    (isotropic). The posterior mean is the average of the components' with their responsibilities at t.
    Raises `InputError` where the shapes do not fit.
    """

    def __init__(self, sde: GaussianPath, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike):
        weights, means, covariances = map(jnp.asarray, (weights, means, covariances))
        if not (weights.ndim == 1 and means.shape[:1] == weights.shape == covariances.shape[:1]):
            raise InputError(
                f"MixtureDenoiser: weights {weights.shape}, means {means.shape}, covariances {covariances.shape}: "
                "expected [k], [k, n] and [k, n, n], [k, n] or [k]"
            )
        self._log_weights = jnp.log(weights / weights.sum())
        self._marginals = [_Marginal(sde, m, c) for m, c in zip(means, covariances, strict=True)]

    def _joint(self, x: Array, t: Time) -> Array:
        return self._log_weights + jnp.stack([m.log_prob(x, t) for m in self._marginals])

    def __call__(self, x: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return the posterior mean of x_0, of the shape of x."""
        return self.estimates(x, t).clean

    def estimates(self, x: Float[Array, "..."], t: Time) -> Estimates:
        """Return the posterior means of x_0 and of eps, both of the shape of x."""
        responsibilities = jax.nn.softmax(self._joint(x, t))
        each = [m.estimates(x, t) for m in self._marginals]
        return jax.tree.map(lambda *parts: (responsibilities @ jnp.stack(parts)).reshape(x.shape), *each)

    def log_prob(self, x: Float[Array, "..."], t: Time) -> Float[Array, ""]:
        """Return log p_t(x) in nats."""
        return jax.nn.logsumexp(self._joint(x, t))
