"""The reverse SDE and the probability-flow ODE: one drift and one number."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.pytree import known
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


class Reverse(NamedTuple):
    """dx = drift(x, t) dt + noise(t) dw, run from t = 1 down to t = 0."""

    drift: Callable[[Array, Time], Array]
    noise: Callable[[Time], Array]


@takes_components
def reverse(sde: GaussianPath, denoise: Denoiser, churn: float = 1.0) -> Reverse:
    """Return the process that undoes `sde`, with the same marginals for every number `churn` >= 0:

        drift = velocity + churn^2 g^2 r / (2 sigma^2),    noise = churn g,    r = x - b - alpha D = -sigma^2 score,
        velocity = b' + alpha' D + sigma' r / sigma = f (x - b) + b' - g^2 score / 2.

    churn = 1 is the reverse SDE (Anderson 1982; Song et al. 2021, eq. 6), churn = 0 the probability-flow ODE (eq. 13),
    whose velocity is finite where alpha = 0 though f and g are not.
    """

    def drift(x: Array, t: Time) -> Array:
        t = jnp.asarray(t, jnp.result_type(t, float))
        b, speed = jax.jvp(sde.offset, (t,), (jnp.ones_like(t),))
        growth, spread = sde.speeds(t)
        rate = spread / sde.sigma(t)
        if not isinstance(churn, int | float) or churn:
            rate += 0.5 * churn**2 * sde.rates(t)[1] / sde.variance(t)
        clean = denoise(x, t)
        return speed + growth * clean + rate * (x - b - sde.alpha(t) * clean)

    def noise(t: Time) -> Array:
        return churn * jnp.sqrt(sde.rates(t)[1])

    return Reverse(drift, noise)


def check_churn(owner: object, churn: float) -> None:
    """Raise `InputError` unless churn is finite and not negative."""
    if known(churn) and not 0 <= churn < float("inf"):
        raise InputError(f"{owner}: expected churn >= 0, finite")
