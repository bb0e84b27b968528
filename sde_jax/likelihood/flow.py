"""Exact likelihood by the probability-flow ODE."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.errors import takes_components
from sde_jax.likelihood.divergence import Divergence, Hutchinson, linear
from sde_jax.ode import Method, Tolerance, check_start, integrate
from sde_jax.prediction import check_denoiser
from sde_jax.pytree import in_one_line
from sde_jax.reverse import reverse
from sde_jax.sde import GaussianPath, state_of
from sde_jax.typing import Array, Denoiser, Key, Time


@in_one_line
class LogLikelihood(NamedTuple):
    """The log-likelihood of one example.

    value: log p in nats; standard_error: of the trace estimate, in nats (0 where it is exact, infinite where one
    probe leaves it unknown); latent: the state at t = 1; evaluations: denoiser calls, each with its tangents.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    latent: Float[Array, "..."]
    evaluations: Int[Array, ""]


@takes_components
def log_likelihood(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    data: Any,
    *,
    divergence: Divergence | None = None,
    tolerance: Tolerance | None = None,
    solver: Method | None = None,
    start: float = 1e-5,
    differentiable: bool = False,
) -> LogLikelihood:
    """Return the log-density of ONE example of the data under the probability flow: lift a batch with `jax.vmap`.

    With x = from_data(data) taken for x(start), log p = log_volume(data) + log p(x) and

        log p(x) = log prior(x(1)) + integral of div v dt along dx/dt = v(x, t)

    (Chen et al. 2018; Song et al. 2021, eq. 39). x and the integral are solved together to `tolerance`, by `solver`,
    with steps of their own, so that an example's value does not depend on its batch. `divergence` is `Hutchinson()`
    by default. Derivatives with respect to the data and to what `denoise` holds are forward only (`jax.jvp`) unless
    `differentiable`. Raises as `integrate` does, and for a denoiser that changes shape or type.
    """
    check_start(start)
    divergence = Hutchinson() if divergence is None else divergence
    velocity = reverse(sde, denoise, churn=0.0).drift
    x = state_of(sde, sde.from_data(data))
    check_denoiser(denoise, x.shape)
    probes, usual = divergence.probes(key, x.shape).astype(x.dtype), partial(_usual, sde, x.shape)

    def field(state: tuple[Array, Array], t: Time) -> tuple[Array, Array]:
        v, matvec = linear(lambda y: velocity(y, t), state[0])
        return v, divergence.estimates(matvec, probes) - jax.jvp(usual, (t,), (jnp.ones_like(t),))[1]

    estimates = jax.eval_shape(lambda x: field((x, x), 1.0)[1], x)
    y, end = (x, jnp.zeros(estimates.shape, estimates.dtype)), jnp.ones(1, x.dtype)
    flow = integrate(field, y, start, end, tolerance or Tolerance(), solver, differentiable=differentiable)
    latent, change = flow.values[0][-1], flow.values[1][-1] + usual(1.0) - usual(start)
    value = sde.log_volume(data) + sde.prior_log_prob(latent) + jnp.mean(change)
    return LogLikelihood(value, divergence.standard_error(change), latent, flow.evaluations)


def _usual(sde: GaussianPath, shape: tuple[int, ...], t: Time) -> Array:
    """Return the log-determinant of the flow of data of unit variance: half the sum of log(alpha^2 + sigma^2).

    Without it what is left to integrate is small, and so is what a relative tolerance allows its error to be.
    """
    return 0.5 * jnp.sum(jnp.broadcast_to(jnp.log(sde.alpha(t) ** 2 + sde.variance(t)), shape))
