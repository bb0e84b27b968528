"""The weights of the step kernel."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import sde_jax as sj
from sde_jax.sampling.kernel import exponential_moments, exponential_weights, lagrange_coefficients

RATES = np.concatenate([-np.geomspace(1e-9, 30, 40), np.geomspace(1e-9, 30, 40)])


def test_the_moments_are_the_integrals_that_define_them():
    for a in (-5.0, -0.3, 1e-3, 0.9999, 1.0001, 7.0):
        for k, moment in enumerate(exponential_moments(jnp.asarray(a), 5)):
            exact = quad(lambda r, a=a, k=k: a * np.exp(-a * (1 - r)) * r**k, 0, 1, epsabs=0, epsrel=1e-13)[0]
            np.testing.assert_allclose(moment, exact, rtol=1e-12)


def test_in_float32_the_moments_keep_their_digits_for_every_step_however_small():
    four = jax.jit(lambda rates: exponential_moments(rates, 4))
    exact = np.array(four(jnp.asarray(RATES)))
    with jax.enable_x64(False):
        single = np.array(four(jnp.asarray(RATES, jnp.float32)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=2e-6)


def test_the_moments_of_an_infinite_step_are_one():
    np.testing.assert_array_equal(exponential_moments(jnp.asarray(np.inf), 4), np.ones(4))


def test_lagrange_polynomials_are_one_at_their_node_and_zero_at_the_others():
    nodes = [jnp.asarray(r) for r in (0.0, -0.4, 1.0, -2.0)]
    table = [[np.polyval(lagrange_coefficients(nodes, m)[::-1], r) for r in nodes] for m in range(4)]
    np.testing.assert_allclose(table, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("churn", [0.0, 0.7])
def test_the_weights_integrate_polynomials_in_log_snr_exactly(churn):
    sde, t, s, nodes = sj.VP(), 0.6, 0.5, [0.6, 0.7, 0.75]
    weights = exponential_weights(sde, t, s, nodes, churn, 3)
    start, h = float(sde.log_snr(t)), float(sde.log_snr(s) - sde.log_snr(t))
    for k in range(3):
        rate = (1 + churn**2) * h
        exact = quad(lambda r, k=k, rate=rate: rate * np.exp(-rate * (1 - r)) * (r * h) ** k, 0, 1)[0]
        values = [(float(sde.log_snr(node)) - start) ** k for node in nodes]
        np.testing.assert_allclose(np.dot(weights, values), exact, rtol=1e-10)


def run(solver, sde, denoise, x, grid):
    return solver.solve(jax.random.key(0), x, jnp.asarray(grid), 0, sde=sde, denoise=denoise).x


def test_as_published_two_and_three_values_are_combined_as_in_the_paper_and_in_its_copies():
    sde, x, grid = sj.VP(), jnp.array([0.7, 0.1]), np.array([0.8, 0.7, 0.55, 0.4])
    denoise = sj.exact.MixtureDenoiser(sde, [0.4, 0.6], [[1.0, 0.0], [-1.0, 0.5]], [0.1, 0.2])

    def published(order):
        y, values, lengths = x, [], []
        for n, (t, s) in enumerate(itertools.pairwise(grid)):
            h = sde.log_snr(s) - sde.log_snr(t)
            values, lengths = [denoise(y, t), *values], [h, *lengths]
            first = [(a - b) / (length / h) for a, b, length in zip(values, values[1:], lengths[1:], strict=False)]
            phi = [-jnp.expm1(-h), 1 + jnp.expm1(-h) / h, 0.5 - (1 + jnp.expm1(-h) / h) / h]
            combined = phi[0] * values[0]
            if min(order, n + 1) == 2:
                combined += 0.5 * phi[0] * first[0]
            elif min(order, n + 1) == 3:
                r0, r1 = lengths[1] / h, lengths[2] / h
                second = (first[0] - first[1]) / (r0 + r1)
                combined += phi[1] * (first[0] + r0 * second) + phi[2] * second
            y = sde.sigma(s) / sde.sigma(t) * y + sde.alpha(s) * combined
        return y

    for order in (2, 3):
        solver = sj.DPMSolverMultistep(order=order, published=True, lower_order_final=False)
        np.testing.assert_allclose(run(solver, sde, denoise, x, grid), published(order), rtol=1e-10)
    two, exact = (sj.UniPC(order=1, published=published) for published in (True, False))
    assert not np.allclose(run(two, sde, denoise, x, grid), run(exact, sde, denoise, x, grid), rtol=1e-6)
