"""Guidance by the gradient of a log-probability."""

from jaxtyping import Float

from sde_jax.errors import takes_components
from sde_jax.guidance.interval import Interval
from sde_jax.guidance.shift import LogProb, gradient, shifted
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser


@takes_components
def classifier_guided(
    denoise: Denoiser,
    sde: GaussianPath,
    log_prob: LogProb,
    scale: float | Float[Array, ""] = 1.0,
    interval: Interval | None = None,
) -> Denoiser:
    """Return D + (sigma^2 / alpha) scale grad_x log p_t(c | x).

    With scale = 1 and the classifier of x_t that is right at every t it is the denoiser of p(x | c), by Bayes' rule
    (Song et al. 2021, appendix I; Dhariwal & Nichol 2021, algorithm 2). `log_prob(x, t)` is of one x, and need not be
    normalised over x; interval: the noise levels sigma / alpha outside which nothing is added.
    Raises `InputError` for a log-probability that is not one float.
    """
    guided = shifted(denoise, sde, lambda x, t: scale * gradient(lambda x: log_prob(x, t), x, "the log-probability"))
    return guided if interval is None else interval.choose(sde, guided, denoise)
