import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import sde_jax as sj
from sde_jax import codec, ode

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
SPECTRUM, BASIS = np.linalg.eigh(COVARIANCE)
TIGHT = sj.Tolerance(rtol=1e-9, atol=1e-9)


def name(value):
    return type(value).__name__


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_probability_flow_transports_a_gaussian_exactly(sde):
    def transported(x, start, t):
        """alpha mean and, along every eigenvector, the same number of standard deviations from it."""
        deviations = [jnp.sqrt(sde.alpha(u) ** 2 * SPECTRUM + sde.variance(u)) for u in (start, t)]
        z = BASIS.T @ (x - sde.alpha(start) * MEAN) * deviations[1] / deviations[0]
        return sde.alpha(t) * MEAN + BASIS @ z

    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    grid = jnp.array([1.0, 0.7, 0.3, 0.01])
    x = sde.prior_sample(jax.random.key(0), (2,))
    flow = sj.ProbabilityFlow(TIGHT)
    solution = jax.jit(lambda x: flow.solve(jax.random.key(1), x, grid, 4, sde=sde, denoise=denoise))(x)
    expected = np.stack([transported(x, 1.0, t) for t in grid])
    np.testing.assert_allclose(solution.trajectory, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(solution.trajectory[-1], solution.x)


@pytest.mark.parametrize("sde", [sj.SubVP()], ids=name)
def test_the_probability_flow_of_a_mixture_in_one_dimension_keeps_every_quantile(sde):
    weights, means, variances = np.array([0.3, 0.7]), np.array([-1.0, 1.0]), np.array([0.1, 0.04])

    def quantile(x, t):
        alpha, variance = float(sde.alpha(t)), float(sde.variance(t))
        return np.sum(weights * scipy.stats.norm.cdf(x, alpha * means, np.sqrt(alpha**2 * variances + variance)))

    denoise = sj.exact.MixtureDenoiser(sde, weights, means[:, None], variances)
    solver, grid = sj.ProbabilityFlow(TIGHT), jnp.array([1.0, 0.01])
    starts = jnp.array([[-1.3], [0.1], [2.0]]) * float(sde.sigma(1.0))
    carry = jax.vmap(lambda x: solver.solve(jax.random.key(0), x, grid, 0, sde=sde, denoise=denoise).x)
    ends = jax.jit(carry)(starts)
    for start, end in zip(starts, ends, strict=True):
        np.testing.assert_allclose(quantile(end[0], 0.01), quantile(start[0], 1.0), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("churn", [0.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_the_adaptive_reverse_sde_has_the_moments_of_the_data(churn):
    sde, n, end = sj.VP(), 1000, 0.01
    solver = sj.ReverseSDE(churn=churn, tolerance=sj.Tolerance(rtol=0.03, atol=0.03))
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    keys = jax.random.split(jax.random.key(0), n)
    x = np.asarray(jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, [1.0, end], (2,)).x)(keys))
    alpha, variance = float(sde.alpha(end)), float(sde.variance(end))
    exact = alpha**2 * COVARIANCE + variance * np.eye(2)
    variances = np.diag(exact)
    error = np.sqrt((np.outer(variances, variances) + exact**2) / n)  # of a sample covariance
    np.testing.assert_array_less(np.abs(x.mean(0) - alpha * MEAN), 4 * np.sqrt(variances / n))
    np.testing.assert_array_less(np.abs(np.cov(x.T) - exact), 4 * error)


@pytest.mark.parametrize("solver", [sj.ProbabilityFlow, pytest.param(sj.ReverseSDE, marks=pytest.mark.slow)])
def test_a_tolerance_out_of_reach_raises_instead_of_returning_samples(solver):
    solver = solver(tolerance=sj.Tolerance(rtol=1e-6, atol=1e-6, max_steps=5))
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    draw = jax.jit(lambda keys: sj.sample(keys, solver, sj.VP(), denoise, sj.grids.uniform(5), (2,)).x)
    with pytest.raises(
        RuntimeError, match=r"did not reach rtol=1e-06, atol=1e-06 within 5 steps: loosen the tolerance"
    ):
        jax.block_until_ready(draw(jax.random.split(jax.random.key(0), 2)))


# of ShARK, the method unless given, also in test_loop.py
@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [pytest.param(ode.ShARK(), marks=pytest.mark.slow), ode.SRA1(), ode.SPaRK()], ids=name
)
def test_the_evaluations_of_an_adaptive_sde_are_the_denoisers_calls(method):
    calls, sde = [], sj.VP()
    exact = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    def denoise(x, t):
        jax.debug.callback(lambda: calls.append(1))
        return exact(x, t)

    solver, grid = sj.ReverseSDE(tolerance=sj.Tolerance(0.1, 0.1), solver=method), jnp.array([1.0, 0.5])
    solve = jax.jit(lambda key: solver.solve(key, jnp.ones(2), grid, 0, sde=sde, denoise=denoise))
    solution = jax.block_until_ready(solve(jax.random.key(0)))
    jax.effects_barrier()
    assert len(calls) == solution.evaluations > 10


def test_a_solver_is_configured_by_name():
    for solver in (sj.ProbabilityFlow(TIGHT, ode.Dopri8(pcoeff=0.2, icoeff=0.4)), sj.ReverseSDE(solver=ode.SPaRK())):
        data = codec.encode(solver)
        assert codec.decode(sj.sampling.Solver, data) == (solver, [])
    _, problems = codec.decode(sj.sampling.Solver, {"type": "ProbabilityFlow", "solver": "Kvaerno5"})
    assert "no such Method" in problems[0]
    _, problems = codec.decode(sj.sampling.Solver, {"type": "ProbabilityFlow", "solver": "ShARK"})
    assert "expected an explicit Runge-Kutta method" in problems[0]


@pytest.mark.parametrize("method", [ode.Tsit5(), ode.Diffrax(diffrax.SEA())], ids=name)
def test_a_solver_that_is_none_for_sdes_is_refused(method):
    with pytest.raises(sj.InputError, match="expected a stochastic Runge-Kutta method with adaptive steps"):
        sj.ReverseSDE(solver=method)


def test_without_churn_the_adaptive_reverse_sde_is_the_probability_flow():
    """A Gaussian's flow keeps the number of deviations from the mean."""
    sde, grid, x = sj.VP(), np.array([0.8, 0.3]), jnp.array([1.0, -2.0])
    denoise = sj.exact.GaussianDenoiser(sde, 0.5, 0.2)
    solver = sj.ReverseSDE(churn=0.0, tolerance=sj.Tolerance(1e-4, 1e-4))
    found = jax.jit(lambda x: sj.transport(jax.random.key(0), solver, sde, denoise, x, grid).x)(x)
    (first, last), mean = (np.sqrt(sde.alpha(grid) ** 2 * 0.2 + sde.variance(grid))), 0.5 * sde.alpha(grid)
    np.testing.assert_allclose(found, mean[1] + (x - mean[0]) * last / first, atol=2e-3)
