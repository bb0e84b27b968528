"""The coefficients of Adams-Bashforth samplers: what they integrate exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import sde_jax as sj


@pytest.mark.parametrize("in_time", [True, False], ids=["in time", "in rho"])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_deis_integrates_polynomials_over_rho_exactly(order, in_time):
    """sum_m b_m p(t_m) is the mean over rho, from rho_t to rho_s, of a polynomial p of degree < order in t, or in rho.

    Zhang & Chen 2023, eq. 15.
    """
    sde, t, s, nodes = sj.VP(), 0.6, 0.5, [0.6, 0.7, 0.75, 0.9][:order]
    rho = lambda time: float(jnp.exp(-sde.log_snr(time)))  # noqa: E731
    speed = lambda time: float(jnp.exp(-sde.log_snr(time)) * -_slope(sde, time))  # noqa: E731
    b = sj.sampling.DEIS(order, in_time=in_time).coefficients(sde, t, s, [jnp.asarray(n) for n in nodes])
    for k in range(order):
        p = (lambda time, k=k: (time - t) ** k) if in_time else (lambda time, k=k: (rho(time) - rho(t)) ** k)
        exact = quad(lambda time, p=p: p(time) * speed(time), t, s, epsrel=1e-12)[0] / (rho(s) - rho(t))
        np.testing.assert_allclose(np.dot(b, [p(node) for node in nodes]), exact, rtol=1e-8, atol=1e-12)


def _slope(sde, t):
    """d lambda / dt = -g^2 / (2 sigma^2)."""
    return float(-sde.rates(t)[1] / (2 * sde.variance(t)))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ipndm_integrates_polynomials_on_equal_steps_exactly(order):
    """The integral of r^k over [0, 1] from the values at r = 0, -1, ..., 1 - order."""
    b = sj.sampling.IPNDM(order).coefficients(sj.VP(), 0.5, 0.4, [jnp.asarray(0.5)] * order)
    for k in range(order):
        np.testing.assert_allclose(np.dot(b, (-np.arange(order, dtype=float)) ** k), 1 / (k + 1), rtol=1e-12)


@pytest.mark.parametrize("solver", [sj.sampling.DEIS(3, starter=False), sj.sampling.IPNDM(4, starter=False)], ids=str)
def test_the_first_step_has_one_value_and_is_ddims(solver):
    sde, x, grid = sj.VP(), jnp.array([0.7, 0.1]), np.array([0.8, 0.7, 0.6, 0.5, 0.4])
    denoise = sj.exact.GaussianDenoiser(sde, 0.3, 0.25)
    first, state = solver.step(None, x, *grid[:2], solver.init(x, grid), sde=sde, denoise=denoise)
    ddim, _ = sj.DDIM().step(jax.random.key(0), x, *grid[:2], (), sde=sde, denoise=lambda x, t: denoise(x, t))
    np.testing.assert_allclose(first.mean, ddim.mean, rtol=1e-10)
    second, _ = solver.step(None, first.x, *grid[1:3], state, sde=sde, denoise=denoise)
    assert np.all(np.isfinite(second.mean))
