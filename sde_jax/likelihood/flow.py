"""Exact likelihood by the probability-flow ODE."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.likelihood.divergence import Divergence, Hutchinson, quadratic_forms
from sde_jax.ode import Tolerance, integrate
from sde_jax.reverse import reverse
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


class LogLikelihood(NamedTuple):
    """The log-likelihood of one example.

    value: log p(x) in nats; standard_error: of the trace estimate, in nats (0 where it is exact, infinite where one
    probe leaves it unknown); latent: x carried to t = 1; evaluations: denoiser calls, each with its tangents.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    latent: Float[Array, "..."]
    evaluations: Int[Array, ""]


def log_likelihood(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    x: Float[Array, "..."],
    *,
    divergence: Divergence | None = None,
    tolerance: Tolerance | None = None,
    start: float = 1e-5,
) -> LogLikelihood:
    """Return log p(x) of ONE example x = x(start) under the probability flow: lift a batch with `jax.vmap`.

    log p(x) = log prior(x(1)) + integral of div v dt along dx/dt = v(x, t) (Chen et al. 2018; Song et al. 2021,
    eq. 39). x and the integral are solved together to `tolerance` with steps of their own, so that an example's value
    does not depend on its batch. `divergence` is `Hutchinson()` by default. Raises, when the result is computed,
    where the tolerance is not reached.
    """
    divergence = Hutchinson() if divergence is None else divergence
    velocity = reverse(sde, denoise, churn=0.0).drift
    probes = divergence.probes(key, x.shape)

    def field(state: tuple[Array, Array], t: Time) -> tuple[Array, Array]:
        v, forms = quadratic_forms(lambda y: velocity(y, t), state[0], probes)
        return v, divergence.estimates(forms)

    zeros = jnp.zeros_like(divergence.estimates(jnp.zeros(len(probes), x.dtype)))
    flow = integrate(field, (x, zeros), start, jnp.ones(1, x.dtype), tolerance or Tolerance())
    latent, change = flow.values[0][-1], flow.values[1][-1]
    value = sde.prior_log_prob(latent) + jnp.mean(change)
    return LogLikelihood(value, divergence.standard_error(change), latent, flow.evaluations)
