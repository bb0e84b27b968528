"""Denoisers in closed form: the oracles that every part of the library is tested against."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from sde_jax.errors import InputError
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time


class _Marginal:
    """N(alpha mean + offset, alpha^2 covariance + sigma^2 I), in the eigenbasis of a full covariance."""

    def __init__(self, sde: GaussianPath, mean: ArrayLike, covariance: ArrayLike):
        self.sde, self.mean = sde, jnp.asarray(mean, float).reshape(-1)
        spectrum = jnp.asarray(covariance, float)
        sizes = {self.mean.size, *spectrum.shape} - {1}
        if len(sizes) > 1 or spectrum.ndim > 2:
            raise InputError(
                f"mean of shape {jnp.shape(mean)} with covariance of shape {spectrum.shape}: expected a mean of n "
                "numbers with a covariance of shape [n, n], [n] (diagonal) or [] (isotropic)"
            )
        self.spectrum, self.basis = jnp.linalg.eigh(spectrum) if spectrum.ndim == 2 else (spectrum, None)

    def coordinates(self, x: Array, t: Time) -> tuple[Array, Array]:
        """Return x - offset - alpha mean in the eigenbasis, and the variance of each coordinate."""
        alpha = self.sde.alpha(t)
        z = (x - self.sde.offset(t)).reshape(-1) - alpha * self.mean
        return z if self.basis is None else z @ self.basis, alpha**2 * self.spectrum + self.sde.variance(t)

    def denoised(self, x: Array, t: Time) -> Array:
        """Return mean + alpha covariance (alpha^2 covariance + sigma^2 I)^-1 (x - offset - alpha mean)."""
        z, variance = self.coordinates(x, t)
        z = self.sde.alpha(t) * self.spectrum / variance * z
        return self.mean + (z if self.basis is None else self.basis @ z)

    def log_prob(self, x: Array, t: Time) -> Array:
        """Return log p_t(x) in nats."""
        z, variance = self.coordinates(x, t)
        return -0.5 * jnp.sum(z**2 / variance + jnp.log(2 * jnp.pi * variance))


class GaussianDenoiser:
    """E[x_0 | x_t = x] for data from N(mean, covariance) of n numbers, x of any shape of n numbers.

    mean: n numbers or one; covariance: [n, n], [n] (diagonal) or a scalar (isotropic), positive semi-definite.
    `log_prob(x, t)` is the exact log-density of x_t in nats. Raises `InputError` where the shapes do not fit.
    """

    def __init__(self, sde: GaussianPath, mean: ArrayLike, covariance: ArrayLike):
        self._marginal = _Marginal(sde, mean, covariance)

    def __call__(self, x: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return the posterior mean of x_0, of the shape of x."""
        return self._marginal.denoised(x, t).reshape(x.shape)

    def log_prob(self, x: Float[Array, "..."], t: Time) -> Float[Array, ""]:
        """Return log p_t(x) in nats."""
        return self._marginal.log_prob(x, t)


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
        estimates = jnp.stack([m.denoised(x, t) for m in self._marginals])
        return (jax.nn.softmax(self._joint(x, t)) @ estimates).reshape(x.shape)

    def log_prob(self, x: Float[Array, "..."], t: Time) -> Float[Array, ""]:
        """Return log p_t(x) in nats."""
        return jax.nn.logsumexp(self._joint(x, t))
