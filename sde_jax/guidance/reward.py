"""Guidance by anything that can be said of the clean estimate."""

from collections.abc import Callable

import jax
from jaxtyping import Float

from sde_jax.errors import takes_components
from sde_jax.guidance.interval import Interval
from sde_jax.guidance.shift import gradient, pushed
from sde_jax.prediction import Estimates, Estimator, estimates_of, require_score
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Time


@takes_components
def rewarded(
    denoise: Denoiser,
    sde: GaussianPath,
    reward: Callable[[Array], Float[Array, ""]],
    scale: float | Float[Array, ""] = 1.0,
    interval: Interval | None = None,
) -> Denoiser:
    """Return D + (sigma^2 / alpha) scale grad_x l(D(x, t)), of a differentiable log-likelihood or reward l of ONE x_0.

    grad_x l(D) = (dD/dx)^T grad l: one evaluation and one product with its transposed Jacobian. A classifier of clean
    examples, a distance in features or a loss of a user's will do (Bansal et al. 2023; of measurements, Chung et al.
    2023). l(E[x_0 | x]) stands for log E[exp l(x_0) | x], from which it differs as long as x_0 is uncertain: what is
    drawn leans to the reward, and is not distributed as p(x) exp(scale l(x)).
    Raises `InputError` for a reward that is not one float.
    """

    require_score("rewarded", denoise)
    of = estimates_of(denoise, sde)

    def estimates(x: Array, t: Time) -> Estimates:
        x0, pull, noise = jax.vjp(lambda x: of(x, t), x, has_aux=True)
        (slope,) = pull(gradient(reward, x0, "the reward"))
        return pushed(sde, Estimates(x0, noise), scale * slope, t)

    guided = Estimator(estimates)
    return guided if interval is None else interval.choose(sde, guided, denoise)
