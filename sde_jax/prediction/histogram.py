"""The closed form of independent whole numbers: data whose bits per dimension are their entropy."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import ArrayLike, Float

from sde_jax.errors import InputError
from sde_jax.prediction.tweedie import Estimates
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


class HistogramDenoiser:
    """The exact denoiser of x_0 with independent numbers, each of a density that is constant between `edges`.

    edges: [k + 1], rising; probabilities: [..., k], of the k intervals, for each number of an example of shape [...].
    Whole numbers from such a histogram, dequantised uniformly in equal cells, have this law, and their bits per
    dimension are the histogram's entropy. For one number and s = sigma / alpha, m = (x - offset) / alpha, with
    phi_a = phi((a - m) / s) and Phi_a alike at the edges a < b of an interval of density p,

        E[x_0 | x_t = x] = m + s sum p (phi_a - phi_b) / sum p (Phi_b - Phi_a).

    Intervals narrower than s are integrated by Gauss and Legendre's rule of 6 nodes, which float32 cannot tell from
    this. Raises `InputError` for edges that do not rise, and probabilities that are negative or do not sum to 1.
    """

    def __init__(self, sde: GaussianPath, edges: ArrayLike, probabilities: ArrayLike):
        edges, probabilities = np.asarray(edges, float), np.asarray(probabilities, float)
        if edges.ndim != 1 or not (np.diff(edges) > 0).all() or probabilities.shape[-1:] != (edges.size - 1,):
            raise InputError(
                f"edges {edges!s:.60} with probabilities of shape {probabilities.shape}: expected [k + 1] rising "
                "numbers with [..., k]"
            )
        if (probabilities < 0).any() or not np.allclose(probabilities.sum(-1), 1, atol=1e-6):
            raise InputError("probabilities: expected none below 0, and a sum of 1 for every number of an example")
        self.sde, self.low, self.high = sde, jnp.asarray(edges[:-1]), jnp.asarray(edges[1:])
        with np.errstate(divide="ignore"):
            self.log_density = jnp.asarray(np.log(probabilities / np.diff(edges)))

    def __call__(self, x: Float[Array, "..."], t: Time) -> Float[Array, "..."]:
        """Return E[x_0 | x_t = x], of the shape of x."""
        return self.estimates(x, t).clean

    def estimates(self, x: Float[Array, "..."], t: Time) -> Estimates:
        """Return E[x_0 | x_t = x] and E[eps | x_t = x] = (m - E[x_0 | x_t = x]) / s, both of the shape of x."""
        m, s = self._observation(x, t)
        log_mass, centre, mean = jax.vmap(_moments, in_axes=(0, 0, None, None))(m, s, self.low, self.high)
        weight = jax.nn.softmax(self._log_density(x) + log_mass, axis=-1)
        return Estimates(*(jnp.sum(weight * part, axis=-1).reshape(x.shape) for part in (centre, -mean)))

    def log_prob(self, x: Float[Array, "..."], t: Time) -> Float[Array, ""]:
        """Return log p_t(x) in nats."""
        m, s = self._observation(x, t)
        log_mass, *_ = jax.vmap(_moments, in_axes=(0, 0, None, None))(m, s, self.low, self.high)
        alpha = jnp.broadcast_to(self.sde.alpha(t), x.shape)
        return jnp.sum(jax.nn.logsumexp(self._log_density(x) + log_mass, axis=-1)) - jnp.sum(jnp.log(alpha))

    def _observation(self, x: Array, t: Time) -> tuple[Array, Array]:
        alpha, sigma = (
            jnp.broadcast_to(value, x.shape).reshape(-1) for value in (self.sde.alpha(t), self.sde.sigma(t))
        )
        return (x - self.sde.offset(t)).reshape(-1) / alpha, sigma / alpha

    def _log_density(self, x: Array) -> Array:
        return jnp.broadcast_to(self.log_density, (*x.shape, self.low.size)).reshape(-1, self.low.size)


def _moments(m: Array, s: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Return the log mass of N(m, s^2) in each interval, its mean there, and how many s that is above m."""
    a, width = (low - m) / s, (high - low) / s
    narrow = width < 1
    wide_mass, wide_mean = _truncated(jnp.where(narrow, 0.0, a), jnp.where(narrow, 1.0, width))
    narrow_mass, narrow_mean = _quadrature(jnp.where(narrow, a, 0.0), jnp.where(narrow, width, 1.0))
    centre = low + s * jnp.where(narrow, narrow_mean, wide_mean - a)
    mean = jnp.clip(jnp.where(narrow, a + narrow_mean, wide_mean), a, a + width)
    return jnp.where(narrow, narrow_mass, wide_mass), jnp.clip(centre, low, high), mean


def _truncated(a: Array, width: Array) -> tuple[Array, Array]:
    """Return log(Phi(b) - Phi(a)) with b = a + width, and the mean of a standard normal in [a, b]."""
    b = a + width
    # In the tail where both are small: Phi(b) - Phi(a) = Phi(-a) - Phi(-b).
    near, far = jnp.where(a > 0, -a, b), jnp.where(a > 0, -b, a)
    log_near, log_far = log_ndtr(near), log_ndtr(far)
    log_mass = log_near + jnp.log1p(-jnp.exp(log_far - log_near))
    log_phi = -0.5 * jnp.log(2 * jnp.pi)
    mean = jnp.exp(log_phi - 0.5 * a**2 - log_mass) - jnp.exp(log_phi - 0.5 * b**2 - log_mass)
    return log_mass, mean


def _quadrature(a: Array, width: Array) -> tuple[Array, Array]:
    """Return what `_truncated` does, the mean less a, of intervals shorter than 1, whose b - a would be lost."""
    inside = width[:, None] * (0.5 + 0.5 * _NODES)
    log_phi = -0.5 * (a[:, None] + inside) ** 2 - 0.5 * jnp.log(2 * jnp.pi)
    log_parts = log_phi + jnp.log(0.5 * width)[:, None] + jnp.log(_WEIGHTS)
    weight = jax.nn.softmax(log_parts, axis=-1)
    return jax.nn.logsumexp(log_parts, axis=-1), jnp.sum(weight * inside, axis=-1)
