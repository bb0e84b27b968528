"""Single steps and their accumulation, by moments that are propagated exactly: no sampling error."""

import itertools
from dataclasses import dataclass

import jax
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import FixedGridSolver
from sde_jax.testing import Moments, check_solver, marginal, moments

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
PREDICTORS = [sj.EulerMaruyama(), sj.ReverseDiffusion(), sj.Ancestral()]
# every pair, of which three by default; test_predictor_corrector.py has three others
PAIRS = [
    pytest.param(*pair, marks=[] if n in (1, 5, 6) else pytest.mark.slow)
    for n, pair in enumerate(itertools.product(PATHS, PREDICTORS))
]


def name(value):
    return type(value).__name__


@pytest.mark.parametrize("solver", [*PREDICTORS, sj.EulerMaruyama(churn=0.0), sj.ReverseDiffusion(churn=0.0)], ids=str)
def test_every_sampler_converges_to_the_data_with_weak_order_one(solver):
    check_solver(solver, order=1)


@pytest.mark.parametrize(
    ("solver", "sde"),
    [
        (sj.EulerMaruyama(churn=0.5), sj.SubVP()),
        (sj.ReverseDiffusion(churn=0.5), sj.VE(sigma_min=0.1, sigma_max=3.0)),
        (sj.Ancestral(), sj.VE(sigma_min=0.1, sigma_max=3.0)),
    ],
    ids=name,
)
def test_every_sampler_converges_on_other_paths_and_with_any_churn(solver, sde):
    check_solver(solver, sde=sde)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_ancestral_sampling_of_a_known_example_is_exact_in_any_number_of_steps(sde):
    grids = [np.array([1.0, 0.2]), np.array([1.0, 0.7, 0.65, 0.2])]
    exact = marginal(sde, MEAN, np.zeros((2, 2)), 0.2)
    for reached in moments(sj.Ancestral(), sde, MEAN, np.zeros((2, 2)), grids):
        for ours, theirs in zip(reached, exact, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sde", [sj.VP(), sj.SubVP()], ids=name)
def test_ancestral_sampling_down_to_time_zero_ends_at_the_estimate_itself(sde):
    (step, _) = sj.Ancestral().step(
        jax.random.key(0), np.array([2.0, -1.0]), 0.3, 0.0, (), sde=sde, denoise=lambda x, t: MEAN
    )
    np.testing.assert_allclose(step.x, MEAN, rtol=1e-12)
    np.testing.assert_allclose(step.mean, MEAN, rtol=1e-12)


@pytest.mark.parametrize("solver", [sj.EulerMaruyama(churn=0.0), sj.ReverseDiffusion(churn=0.0)], ids=name)
def test_without_churn_a_step_draws_nothing(solver):
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    step, _ = solver.step(jax.random.key(0), MEAN, 0.5, 0.4, (), sde=sj.VP(), denoise=denoise)
    np.testing.assert_array_equal(step.x, step.mean)


@dataclass(frozen=True)
class Corrections(FixedGridSolver):
    """The corrector alone, at the time where each step starts."""

    corrector: sj.Langevin

    def step(self, key, x, t, s, state, *, sde, denoise):
        return self.corrector.correct(key, x, t, (t, s), sde=sde, denoise=denoise), state


def langevin_stationary(sde, snr, t, s):
    """For x <- x (1 - e / V) + sqrt(2 e) z the variance V / (1 - e / (2 V)) is stationary, along every eigenvector."""
    mean, covariance = marginal(sde, MEAN, COVARIANCE, t)
    variances, basis = np.linalg.eigh(covariance)
    e = 2 * (float(sde.alpha(t) / sde.alpha(s)) * snr * float(sde.sigma(t))) ** 2
    return Moments(mean, basis * (variances / (1 - e / (2 * variances))) @ basis.T)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_langevin_dynamics_leaves_its_stationary_distribution_as_it_is(sde):
    t, s, snr = 0.3, 0.25, 0.4
    start = langevin_stationary(sde, snr, t, s)
    solver = Corrections(sj.Langevin(snr=snr, steps=3))
    (reached,) = moments(solver, sde, MEAN, COVARIANCE, [np.array([t, s])], start)
    for ours, theirs in zip(reached, start, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize(("sde", "predictor"), PAIRS, ids=name)
def test_every_predictor_with_langevin_on_every_path_has_the_moments_of_the_data(sde, predictor):
    # Langevin's own bias in a variance V is below e / V / 2 <= snr^2; the rest is the predictor's, of first order
    grid = sde_grid(sde, 128)
    solver = sj.PredictorCorrector(predictor, sj.Langevin(snr=0.1))
    (reached,) = moments(solver, sde, MEAN, COVARIANCE, [grid])
    exact = marginal(sde, MEAN, COVARIANCE, grid[-1])
    np.testing.assert_allclose(reached.mean, exact.mean, atol=0.005)
    np.testing.assert_allclose(reached.covariance, exact.covariance, atol=0.025)


def sde_grid(sde, steps, end=0.05):
    """Return times with equal steps in log-SNR."""
    log_snr = np.linspace(sde.log_snr(1.0), sde.log_snr(end), steps + 1)
    return np.array([1.0, *times_of(sde, log_snr[1:-1]), end])


@jax.jit
def times_of(sde, log_snr):
    return jax.vmap(sde.time_of)(log_snr)


@pytest.mark.parametrize("setting", [{"snr": 0.0}, {"snr": -1.0}, {"steps": 0}])
def test_a_corrector_that_would_not_move_is_refused(setting):
    with pytest.raises(sj.InputError, match="expected snr > 0 and steps >= 1"):
        sj.Langevin(**setting)
