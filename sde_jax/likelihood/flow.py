"""Exact likelihood by the probability-flow ODE.

What is returned is the density of x(start). It is that of the data as far as sigma / alpha at `start` is small beside
their finest scale, of which the result's `blur` tells: the density is too low by blur^2 / 4 nats for each number of a
Gaussian, 2e-3 bits a dimension at blur 0.07. `start_below` is the start for data of a known scale; a path whose
sigma(0) is not 0, such as VE, knows no finer data. x is solved in units of that finest scale, sigma / sqrt(blur), at
most 1, so that a tolerance means the same of narrow data: 1e-5 stands for 1e-3 bits a dimension or less.
"""

import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.errors import InputError, takes_components
from sde_jax.likelihood.divergence import Divergence, Hutchinson, linear
from sde_jax.ode import Method, Tolerance, check_start, integrate, integrate_each, rowwise
from sde_jax.prediction import Coupled, Velocity, check_single, denoiser
from sde_jax.pytree import concrete, in_one_line, known
from sde_jax.reverse import reverse
from sde_jax.sde import GaussianPath, state_of
from sde_jax.typing import Array, Denoiser, Key, Time

BLURRED = 0.1
"""The mean square of the noise estimate at `start` above which sigma is said not to be small beside the data."""


@in_one_line
class LogLikelihood(NamedTuple):
    """The log-likelihood of one example.

    value: log p in nats; standard_error: of the trace estimate, in nats (0 where it is exact, infinite where one
    probe leaves it unknown); latent: the state at t = 1; evaluations: denoiser calls, each with its tangents; blur: the
    mean square of the noise estimate at `start`, sigma^2 / (alpha^2 v + sigma^2) of data of variance v.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    latent: Float[Array, "..."]
    evaluations: Int[Array, ""]
    blur: Float[Array, ""]


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
    start: Time = 1e-5,
    differentiable: bool = False,
) -> LogLikelihood:
    """Return the log-density of ONE example of the data under the probability flow: lift a batch with `jax.vmap`.

    With x = from_data(data) taken for x(start), log p = log_volume(data) + log p(x) and

        log p(x) = log prior(x(1)) + integral of div v dt along dx/dt = v(x, t)

    (Chen et al. 2018; Song et al. 2021, eq. 39). x and the integral are solved together to `tolerance`, by `solver`,
    with steps of their own, whatever the batch; `divergence` is `Hutchinson()` by default. Derivatives with respect to
    the data and to what `denoise` holds are forward only (`jax.jvp`) unless `differentiable`. Outside of `jit` and
    `vmap` a blur above `BLURRED` warns (see the head of this module). Raises as `integrate` and `check_single` do.
    """
    flow = _Flow.of(sde, denoise, divergence, start)
    own = flow.pose(key, data)
    end, field = jnp.ones(1, own.y[0].dtype), partial(flow.field, own.args)
    settings: dict[str, Any] = {"differentiable": differentiable, "first": own.first}
    found = integrate(field, own.y, start, end, tolerance or Tolerance(), solver, **settings)
    return flow.read(data, own, jax.tree.map(lambda v: v[-1], found.values), found.evaluations)


@takes_components
def log_likelihoods(
    keys: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    data: Any,
    *,
    lanes: int = 64,
    divergence: Divergence | None = None,
    tolerance: Tolerance | None = None,
    solver: Method | None = None,
    start: Time = 1e-5,
) -> LogLikelihood:
    """Return `log_likelihood` of every one of `keys` [n] and of `data` [n, ...], in their order.

    `lanes` of them are solved at once, and none waits for another (`ode.integrate_each`): what an example is given
    depends on the number of lanes by rounding alone, and not at all on the examples beside it. In one program, whose
    memory holds the n examples and the evaluations of `lanes`. Raises as `log_likelihood` does.
    """
    flow = _Flow.of(sde, denoise, divergence, start)
    own = rowwise(lambda row: flow.pose(*row), (keys, data), lanes)
    settings: dict[str, Any] = {"first": own.first, "lanes": lanes}
    found = integrate_each(flow.field, own.args, own.y, start, 1.0, tolerance or Tolerance(), solver, **settings)
    return jax.vmap(flow.read)(data, own, found.values, found.evaluations)


class _Own(NamedTuple):
    """What is one example's own: what its field takes, y and its slope at the start, and the blur."""

    args: tuple[Array, Array]
    y: tuple[Array, Array]
    first: tuple[Array, Array]
    blur: Float[Array, ""]


class _Flow(NamedTuple):
    """What all examples share: the ODE of y = (x / unit, the log-determinant less the usual one)."""

    sde: GaussianPath
    denoise: Denoiser
    divergence: Divergence
    start: Time

    @classmethod
    def of(cls, sde: GaussianPath, denoise: Denoiser, divergence: Divergence | None, start: Time) -> "_Flow":
        """Return the flow with `Hutchinson()` for no divergence. Raises as `check_start` does."""
        check_start(start)
        return cls(sde, denoise, Hutchinson() if divergence is None else divergence, start)

    def pose(self, key: Key, data: Any) -> _Own:
        """Return the start of one example of the data."""
        x = check_single(self.denoise, state_of(self.sde, self.sde.from_data(data)), self.start)
        probes = self.divergence.probes(key, x.shape).astype(x.dtype)
        v, growth = self._slope(probes, x, jnp.asarray(self.start, x.dtype))
        blur, unit = _finest(self.sde, self.denoise, x, v, self.start)
        return _Own((probes, unit), (x / unit, jnp.zeros_like(growth)), (v / unit, growth), blur)

    def field(self, args: tuple[Array, Array], y: tuple[Array, Array], t: Time) -> tuple[Array, Array]:
        """Return dy/dt."""
        probes, unit = args
        v, growth = self._slope(probes, unit * y[0], t)
        return v / unit, growth

    def read(self, data: Any, own: _Own, y: tuple[Array, Array], evaluations: Array) -> LogLikelihood:
        """Return what y at the end says."""
        sde, usual = self.sde, partial(_usual, self.sde, own.y[0].shape)
        latent, change = own.args[1] * y[0], y[1] + usual(1.0) - usual(self.start)
        value = sde.log_volume(data) + sde.prior_log_prob(latent) + jnp.mean(change)
        return LogLikelihood(value, self.divergence.standard_error(change), latent, evaluations, own.blur)

    def _slope(self, probes: Array, x: Array, t: Time) -> tuple[Array, Array]:
        """Return v and the estimates of div v, less what `_usual` grows by."""
        velocity, usual = reverse(self.sde, self.denoise, churn=0.0).drift, partial(_usual, self.sde, x.shape)
        v, matvec = linear(lambda x: velocity(x, t), x)
        return v, self.divergence.estimates(matvec, probes) - jax.jvp(usual, (t,), (jnp.ones_like(t),))[1]


def start_below(sde: GaussianPath, deviation: float, share: float = 0.05, latest: float = 1e-5) -> Float[Array, ""]:
    """Return the time <= `latest` at which sigma / alpha is at most `share` of the deviation of the data's finest part.

    The density of x(start) is then too low by share^4 / 4 nats for each of those numbers. 0 where no time is early
    enough. Of a diagonal schedule the mean log-SNR is meant. Raises `InputError` unless deviation > 0, 0 < share.
    """
    if known(deviation, share) and not (deviation > 0 and share > 0):
        raise InputError(f"deviation = {deviation}, share = {share}: expected numbers above 0")
    wanted = -jnp.log(share * deviation)
    time = jnp.minimum(sde.time_of(wanted), latest)
    return jnp.where(jnp.mean(sde.log_snr(time)) < wanted - 1e-3, 0.0, time)


def _finest(sde: GaussianPath, denoise: Denoiser, x: Array, v: Array, start: Time) -> tuple[Array, Array]:
    """Return the blur, and the finest scale of the data at x, sigma / sqrt(blur), from sigma to 1; 1 where it is lost.

    v: the velocity of x, which a network under `Velocity` predicts. Warns of a blur that can be looked at. Of coupled
    pairs x tells the noise itself, whose square says nothing of the data's scale: (0, 1).
    """
    if isinstance(denoise, Coupled):
        return jnp.zeros(()), jnp.ones(())
    t = jnp.asarray(start, x.dtype)
    speed = jax.jvp(sde.offset, (t,), (jnp.ones_like(t),))[1]
    blur = jnp.mean(jnp.square(denoiser(lambda *_: v - speed, sde, Velocity()).estimates(x, t).noise))
    if concrete((blur, start)) and blur > BLURRED:
        warnings.warn(
            f"log_likelihood: at start = {start:g} the noise that x is taken to hold has a mean square of {blur:.2g}: "
            f"expected less than {BLURRED:g}, or sigma(start) is not small beside the data, and this is the density of "
            "noisier ones; start earlier (`start_below`), on VE with a smaller sigma_min",
            stacklevel=3,
        )
    sigma = jnp.max(sde.sigma(start))
    unit = jax.lax.stop_gradient(sigma / jnp.sqrt(jnp.maximum(blur, sigma**2)))
    return blur, jnp.where((unit > 0) & jnp.isfinite(unit), jnp.clip(unit, sigma, 1.0), 1.0)


def _usual(sde: GaussianPath, shape: tuple[int, ...], t: Time) -> Array:
    """Return the log-determinant of the flow of data of unit variance: half the sum of log(alpha^2 + sigma^2).

    Without it what is left to integrate is small, and so is what a relative tolerance allows its error to be.
    """
    return 0.5 * jnp.sum(jnp.broadcast_to(jnp.log(sde.alpha(t) ** 2 + sde.variance(t)), shape))
