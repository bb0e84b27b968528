"""Several conditions at once, of a network that was trained on one at a time."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction import mixed, require_score
from sde_jax.typing import Array, Denoiser


@takes_components
def composed(
    baseline: Denoiser, denoisers: Sequence[Denoiser], weights: Sequence[float] | Float[Array, " n"]
) -> Denoiser:
    """Return D_0 + sum_i w_i (D_i - D_0), D_0 the `baseline` that is told nothing and D_i told condition i.

    With every w_i = 1 it is the score of prod_i p(c_i | x) p(x): all conditions, if they are independent given x; a
    negative w_i is a condition to avoid (Liu et al. 2022, eq. 11 and 12). As `classifier_free`, it samples that product
    at t = 0 alone. Raises `InputError` unless there is one weight for each denoiser, and one or more.
    """
    if np.shape(weights) != (len(denoisers),) or not denoisers:
        raise InputError(f"{len(denoisers)} conditions with weights of shape {np.shape(weights)}: expected one each")
    require_score("composed", baseline, *denoisers)
    w = jnp.asarray(weights)

    def mixture(zero: Array, *ones: Array) -> Array:
        return zero + sum((w[i] * (one - zero) for i, one in enumerate(ones)), jnp.zeros_like(zero))

    return mixed(mixture, baseline, *denoisers)
