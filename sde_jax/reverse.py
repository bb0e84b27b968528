"""The reverse SDE and the probability-flow ODE: one drift and one number."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction import estimates_of, require_score
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

        drift = velocity + churn^2 g^2 E / (2 sigma),    noise = churn g,    E = E[eps | x] = -sigma score,
        velocity = b' + alpha' D + sigma' E = f (x - b) + b' - g^2 score / 2.

    churn = 1 is the reverse SDE (Anderson 1982; Song et al. 2021, eq. 6), churn = 0 the probability-flow ODE (eq. 13),
    whose velocity is finite where alpha = 0 though f and g are not. D and E are the denoiser's own where it has both
    (`estimates_of`), so that neither drift nor divergence loses the digits of x - b - alpha D.
    """
    estimates = estimates_of(denoise, sde)

    if not known(churn) or churn:
        require_score(f"the reverse process of churn {churn}", denoise)

    def drift(x: Array, t: Time) -> Array:
        t = jnp.asarray(t, jnp.result_type(t, float))
        speed = jax.jvp(sde.offset, (t,), (jnp.ones_like(t),))[1]
        growth, spread = sde.speeds(t)
        if not isinstance(churn, int | float) or churn:
            spread += 0.5 * churn**2 * sde.rates(t)[1] / sde.sigma(t)
        clean, noise = estimates(x, t)
        return speed + growth * clean + spread * noise

    def noise(t: Time) -> Array:
        if known(churn) and churn == 0:
            return jnp.zeros(())  # also where g is infinite
        return churn * jnp.sqrt(sde.rates(t)[1])

    return Reverse(drift, noise)


def check_churn(owner: object, churn: float) -> None:
    """Raise `InputError` unless churn is finite and not negative."""
    if known(churn) and not 0 <= churn < float("inf"):
        raise InputError(f"{owner}: expected churn >= 0, finite")
