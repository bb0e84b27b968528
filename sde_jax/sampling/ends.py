"""What samplers ask of a path at the times of a grid, before anything runs: numbers may end at t = 0 and at t = 1.

Each raises `InputError`, naming the sampler, the path and the time. A path or a grid that is traced has no numbers to
look at, and passes.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError
from sde_jax.pytree import concrete
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Time

STEEP = 10.0
"""How many times as fast lambda may fall where the first step starts as it does half a step on."""


def _where_known(check: Callable[..., None]) -> Callable[..., None]:
    @wraps(check)
    def checked(owner: object, sde: GaussianPath, *times: Time) -> None:
        if concrete((sde, times)):
            with jax.ensure_compile_time_eval():
                check(owner, sde, *times)

    return checked


def _on(owner: object, sde: GaussianPath) -> str:
    return f"{getattr(owner, '__name__', type(owner).__name__)} on {type(sde).__name__}"


@_where_known
def check_velocity(owner: object, sde: GaussianPath, t: Time) -> None:
    """Refuse a t at which the velocity of the probability flow cannot be computed.

    It is alpha' D + (sigma' / sigma) (x - alpha D): 0 / 0 where sigma is 0, and no number where alpha' is none.
    """
    if not np.all(sde.sigma(t) > 0):
        raise InputError(
            f"{_on(owner, sde)} at t = {t:g}, where sigma is 0 and the velocity is 0 / 0: expected a time above, such "
            "as 1e-5, or an exponential sampler such as DDIM, which ends there with the clean estimate"
        )
    if not np.all(np.isfinite(jnp.hstack(sde.speeds(t)))):
        raise InputError(
            f"{_on(owner, sde)} at t = {t:g}, where the derivative of alpha or sigma is not finite: expected a time "
            f"inside, such as {0.999 * t + 1e-5:g}, or an exponential sampler such as DDIM"
        )


@_where_known
def check_rates(owner: object, sde: GaussianPath, t: Time) -> None:
    """Refuse a t at which f or g^2 is infinite."""
    if not np.all(np.isfinite(jnp.hstack(sde.rates(t)))):
        raise InputError(
            f"{_on(owner, sde)} at t = {t:g}, where f and g are infinite: expected a time inside, such as 0.999, churn "
            "= 0, or an exponential sampler such as DPMSolverMultistep(churn=1.0)"
        )


@_where_known
def check_first_step(owner: object, sde: GaussianPath, t: Time, s: Time) -> None:
    """Refuse a step from t to s over which g^2 / sigma^2 = -2 lambda' falls so steeply that it cannot stand for all.

    Where alpha is 0 or nearly so, f and g^2 are infinite or nearly so, at that time alone.
    """
    there, inside = (np.asarray(sde.rates(u)[1] / sde.variance(u)) for u in (t, 0.5 * (t + s)))
    if not np.all(there <= STEEP * inside):
        raise InputError(
            f"{_on(owner, sde)} from t = {t:g}, where g^2 / sigma^2 is {there.max():.3g}, and {inside.max():.3g} half "
            f"a step on: expected a first step over which it changes less; start the grid at {0.999 * t:g} or before, "
            "or take EulerMaruyama(churn=0.0) or an exponential sampler, DDIM or DPMSolverMultistep(churn=1.0) say"
        )


@_where_known
def check_noise(owner: object, sde: GaussianPath, t: Time) -> None:
    """Refuse a t without noise, where there is no score."""
    if not np.all(sde.sigma(t) > 0):
        raise InputError(
            f"{_on(owner, sde)} corrects at t = {t:g}, where sigma is 0 and there is no score: expected a grid that "
            "ends above, such as at 1e-3, or corrector_first = True"
        )


@_where_known
def check_signal(owner: object, sde: GaussianPath, t: Time) -> None:
    """Refuse a t at which lambda is infinite."""
    if not np.all(np.isfinite(sde.log_snr(t))):
        raise InputError(
            f"{_on(owner, sde)} at t = {t:g}, where alpha or sigma is 0: expected a time inside, such as 0.999"
        )


@_where_known
def check_upwards(owner: object, sde: GaussianPath, grid: Array) -> None:
    """Refuse a grid that rises to a time where alpha is 0: the weight of D, times alpha, is 0 times infinity there."""
    if grid[-1] > grid[0] and not np.all(sde.alpha(grid[-1]) > 0):
        raise InputError(
            f"{_on(owner, sde)} up to t = {grid[-1]:g}, where alpha is 0: expected to end before, at "
            f"{0.999 * grid[-1]:g} say, or DDIM, DEIS or EDMHeun, which come to the noise itself"
        )


def same_noise(one: GaussianPath, other: GaussianPath) -> bool:
    """Return whether two paths have the same lambda, up to 0.1, near the data, halfway and at the end."""
    if not concrete((one, other)):
        return True
    with jax.ensure_compile_time_eval():
        return all(np.allclose(one.log_snr(t), other.log_snr(t), atol=0.1) for t in (0.1, 0.5, 1.0))


def check_table(owner: object, sde: GaussianPath, chain: Any) -> None:
    """Refuse a path whose noise is not that of a table of the steps."""
    if not same_noise(chain, sde):
        raise InputError(f"{_on(owner, sde)}: steps by the table of {chain}: expected one of {sde}")


def check_lengths(owner: object, grid: Array, steps: int) -> None:
    """Refuse a grid of other steps than those of a chain of so many, which are made whatever the grid says.

    Up to a factor of 2, and but for the last, which the official code makes from where its grid ends.
    """
    if not concrete(grid) or len(grid) < 3:
        return
    lengths = -np.diff(np.asarray(grid))[:-1] * (steps - 1)
    if not np.all((lengths > 0.5) & (lengths < 2)):
        raise InputError(
            f"{type(owner).__name__} down a grid of {len(grid) - 1} steps: its own are those of a chain of {steps}, "
            f"whatever the grid: expected grids.official({steps}), or a chain with as many steps as the grid"
        )
