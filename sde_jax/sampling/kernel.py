"""The one step of every exponential sampler: between two times, linear in what it is given, exact where x_0 is known.

From t to s < t, with h = lambda_s - lambda_t > 0, c = 1 + churn^2, and the denoiser along the way replaced by the
polynomial in lambda through its values D_m at the nodes r_m = (lambda_m - lambda_t) / h, the reverse process of
`churn` (see `reverse.py`) has the solution

    x_s = (sigma_s / sigma_t) e^(-churn^2 h) x_t + alpha_s sum_m w_m D_m + sigma_s sqrt(1 - e^(-2 churn^2 h)) z,

where sum_m w_m r_m^k = c h int_0^1 e^(-c h (1 - r)) r^k dr for k = 0 ... p - 1, p the number of nodes. Nodes r <= 0
make exponential Adams-Bashforth methods, a node at r = 1 a corrector (Adams-Moulton), nodes inside a Runge-Kutta
method (Lu et al. 2022, DPM-Solver++, in this form for churn = 0; Xue et al. 2023, SA-Solver, for any churn).
"""

from collections.abc import Callable, Sequence
from math import factorial

import jax.numpy as jnp

from sde_jax.pytree import known
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time

TERMS = 18
"""Of the series for |c h| < 1, after which its remainder is below float64's resolution."""


def exponential_moments(rate: Array, count: int) -> list[Array]:
    """Return m_k = a int_0^1 e^(-a (1 - r)) r^k dr for k < `count`, a = `rate` of any sign.

    By parts, m_0 = 1 - e^(-a) and m_k = 1 - k m_(k-1) / a, which loses all digits for small a: there the series
    m_k = a sum_j (-a)^j k! / (j + k + 1)! is summed instead.
    """
    small = jnp.abs(rate) < 1
    a = jnp.where(small, rate, 0.0)
    safe = jnp.where(small, 1.0, rate)
    moments, recurrence = [], -jnp.expm1(-safe)
    for k in range(count):
        recurrence = recurrence if k == 0 else 1 - k * recurrence / safe
        series = jnp.zeros_like(a)
        for j in reversed(range(TERMS)):
            series = factorial(k) / factorial(j + k + 1) - a * series
        moments.append(jnp.where(small, a * series, recurrence))
    return moments


def lagrange_coefficients(nodes: Sequence[Array], m: int) -> list[Array]:
    """Return c_k with l_m(r) = sum_k c_k r^k, the polynomial that is 1 at nodes[m] and 0 at the others."""
    coefficients = [jnp.ones_like(nodes[m])]
    for j, node in enumerate(nodes):
        if j != m:
            gap = nodes[m] - node
            shifted = [jnp.zeros_like(node), *coefficients]
            scaled = [*(-node * c for c in coefficients), jnp.zeros_like(node)]
            coefficients = [(a + b) / gap for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def exact(moments: list[Array]) -> list[Array]:
    """Return the moments as they are."""
    return moments


def exponential_weights(
    sde: GaussianPath,
    t: Time,
    s: Time,
    nodes: Sequence[Time],
    churn: float,
    count: Array | int,
    taken: Callable[[list[Array]], list[Array]] = exact,
) -> list[Array]:
    """Return the weights w_m of the denoiser's values at the times `nodes`, nodes[0] = t, of a step from t to s.

    `taken` says which moments a step through so many nodes takes, the exact ones unless a published formula is meant.
    Only the first `count` nodes have values: the rest weigh 0 and the order falls. Where h is infinite, because
    alpha_t or sigma_s is 0, nothing can be interpolated and t has weight 1.
    """
    start = sde.log_snr(t)
    h = sde.log_snr(s) - start
    usable = jnp.isfinite(h) & (h != 0)
    h = jnp.where(usable, h, 1.0)
    moments = exponential_moments((1 + churn**2) * h, len(nodes))
    weights = [jnp.ones_like(h), *(jnp.zeros_like(h) for _ in nodes[1:])]
    r: list[Array] = []
    for order, node in enumerate(nodes, start=1):
        usable = usable & (count >= order)
        r.append(jnp.where(usable, (sde.log_snr(node) - start) / h, -float(order)))
        chosen = taken(moments[:order])
        for m in range(order):
            terms = zip(lagrange_coefficients(r, m), chosen, strict=True)
            weights[m] = jnp.where(usable, sum(c * moment for c, moment in terms), weights[m])
    return weights


def refresh(sde: GaussianPath, t: Time, s: Time, churn: float) -> tuple[Array, Array]:
    """Return (keep, spread) = ((sigma_s / sigma_t) rho, sigma_s sqrt(1 - rho^2)), rho = e^(-churn^2 h)."""
    ratio, sigma_s = sde.sigma(s) / sde.sigma(t), sde.sigma(s)
    if known(churn) and churn == 0:
        return ratio, jnp.zeros_like(sigma_s)
    decay = churn**2 * (sde.log_snr(s) - sde.log_snr(t))
    return ratio * jnp.exp(-decay), sigma_s * jnp.sqrt(-jnp.expm1(-2 * decay))


def along_noise(sde: GaussianPath, t: Time, s: Time, x0: Array, eps: Array, mean_eps: Array) -> Array:
    """Return x_s of the probability-flow ODE, x0 and eps being the estimates at t, for a mean estimate of eps.

    With rho = sigma / alpha the ODE is d(x / alpha) / d rho = eps (Karras et al. 2022, eq. 4; Zhang & Chen 2023, eq.
    10), hence x_s = alpha_s (x_t / alpha_t + (rho_s - rho_t) mean_eps), written so that alpha_t may be 0 where
    mean_eps = eps.
    """
    alpha_t = sde.alpha(t)
    start = jnp.where(alpha_t == 0, 0.0, sde.sigma(t) / jnp.where(alpha_t == 0, 1.0, alpha_t))
    return sde.alpha(s) * (x0 + start * (eps - mean_eps)) + sde.sigma(s) * mean_eps
