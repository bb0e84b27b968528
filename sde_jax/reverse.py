"""The reverse SDE and the probability-flow ODE: one drift and one number."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from sde_jax.prediction import score_of
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


class Reverse(NamedTuple):
    """dx = drift(x, t) dt + noise(t) dw, run from t = 1 down to t = 0."""

    drift: Callable[[Array, Time], Array]
    noise: Callable[[Time], Array]


def reverse(sde: GaussianPath, denoise: Denoiser, churn: float = 1.0) -> Reverse:
    """Return the process that undoes `sde`, with the same marginals for every `churn` >= 0:

        drift = f (x - b) + b' - (1 + churn^2)/2 g^2 score,    noise = churn g.

    churn = 1 is the reverse SDE (Anderson 1982; Song et al. 2021, eq. 6), churn = 0 the probability-flow ODE (eq. 13).
    """
    score = score_of(denoise, sde)

    def drift(x: Array, t: Time) -> Array:
        return sde.drift(x, t) - 0.5 * (1 + churn**2) * sde.rates(t)[1] * score(x, t)

    def noise(t: Time) -> Array:
        return churn * jnp.sqrt(sde.rates(t)[1])

    return Reverse(drift, noise)
