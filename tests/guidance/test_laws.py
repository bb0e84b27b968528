"""What the methods sample with which sampler: moments carried exactly, on a correlated Gaussian in six dimensions."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.ensembles import Ensemble, calibrated, draw
from sde_jax.guidance import DPS, DataAssimilation, DiffPIR, MomentMatching, PiGDM, posterior
from sde_jax.measurement import Identity, Independent, Measurement
from sde_jax.prediction import exact
from sde_jax.sampling import DDRM, Langevin, NoCorrection, churn_of
from tests.guidance.laws import COVARIANCE, MEAN, NOISE, POSTERIOR, SDE, SEEN, SIZE, Y, law, measured, moments

FLOW, REVERSE = sj.DDIM(), sj.Ancestral()


@pytest.mark.parametrize("solver", [FLOW, REVERSE], ids=["flow", "reverse"])
def test_moment_matching_converges_to_the_posterior_by_any_sampler(solver):
    found = law(MomentMatching(), solver, 600)
    assert found.away < 0.03
    assert np.abs(found.ratios - 1).max() < 0.015
    assert calibrated(MomentMatching(), solver)


@pytest.mark.parametrize(
    ("method", "narrow", "wide"),
    [
        (PiGDM(), 1.25, 1.1),
        pytest.param(PiGDM(data_variance=0.2), 0.5, 1.1, marks=pytest.mark.slow),
        pytest.param(PiGDM(data_variance=5.0), 1.5, 1.1, marks=pytest.mark.slow),
        pytest.param(DataAssimilation(1.0), 1.6, 1.12, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_method_that_is_calibrated_by_the_reverse_process_is_not_by_the_flow(method, narrow, wide):
    """The worst ratio of deviations by the flow is beyond `narrow`, by the reverse process within a tenth."""
    flow, reverse = law(method, FLOW, 600).ratios, law(method, REVERSE, 600).ratios
    assert (flow.min() < narrow) if narrow < 1 else (flow.max() > narrow)
    assert 1 / wide - 0.01 < reverse.min() < reverse.max() < wide + 0.01
    assert (calibrated(method, FLOW), calibrated(method, REVERSE)) == (False, True)


@pytest.mark.parametrize(
    ("gamma", "churn"),
    [(0.1, 1.0), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((0.1, 2.0), (1.0, 1.0), (0.5, 1.5)))],
)
def test_data_assimilation_ends_with_the_variance_that_churn_and_gamma_make(gamma, churn):
    """Where data are much wider than the noise of y: c^2 / (1 + c^2 - gamma) of it, within a tenth from c on."""
    method, solver = DataAssimilation(gamma), sj.EulerMaruyama(churn=churn)
    prior = exact.GaussianDenoiser(SDE, np.zeros(SIZE), 25.0)
    guided, grid = posterior(prior, SDE, measured(), method, (SIZE,)), sj.grids.LogSNR().times(SDE, 2000, 1e-3)
    _, covariance = moments(solver, guided, grid, 25 * np.eye(SIZE))
    expected = np.sqrt(churn**2 / (1 + churn**2 - gamma))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance))[SEEN] / NOISE, expected, atol=0.02)
    assert calibrated(method, solver) == (abs(expected - 1) < 0.1)


def test_the_least_churn_of_data_assimilation_is_where_its_deviation_is_right_within_a_tenth():
    for gamma, ratio in ((0.0, 0.9), (0.1, 0.9), (0.7, 0.9), (2.0, 1.1)):
        c = DataAssimilation(gamma).least_churn
        assert np.sqrt(c**2 / (1 + c**2 - gamma)) == pytest.approx(ratio)
    assert DataAssimilation(1.0).least_churn == 1


@pytest.mark.slow
@pytest.mark.parametrize("churn", [0.0, 1.0])
def test_the_spread_of_point_estimates_is_not_the_posterior_s(churn):
    """DiffPIR's is wider, by the flow, where data are correlated; DPS hears y by no noise of its own."""
    solver = FLOW if churn == 0 else REVERSE
    assert law(DiffPIR(), solver, 600).away > 0.25
    assert not calibrated(DiffPIR(), solver)
    assert not calibrated(DPS(), solver)


def test_churn_is_what_a_solver_renews():
    samplers = {
        0.0: [sj.DDIM(), sj.DPMSolverMultistep(), sj.ProbabilityFlow(), sj.EDMHeun(), sj.sampling.Heun(), sj.IPNDM()],
        1.0: [sj.Ancestral(), sj.PredictorCorrector(), sj.EulerMaruyama(), sj.sampling.ReverseSDE()],
        0.6: [sj.DDIM(eta=0.6), sj.UniPC(churn=0.6), sj.ReverseDiffusion(churn=0.6), sj.Restart(sj.DDIM(eta=0.6))],
        2.0: [sj.EDMHeun(churn=40.0), sj.SASolver(churn=2.0), sj.sampling.ReverseSDE(churn=2.0)],
    }
    assert all(churn_of(solver) == churn for churn, solvers in samplers.items() for solver in solvers)
    assert churn_of(sj.PredictorCorrector(sj.DDIM(), NoCorrection())) == 0
    assert churn_of(sj.PredictorCorrector(sj.DDIM(), Langevin())) == 1


def test_whoever_samples_by_too_little_churn_is_told():
    prior = exact.GaussianDenoiser(SDE, np.zeros(SIZE), COVARIANCE)
    keys, grid = jax.random.split(jax.random.key(0), 2), sj.grids.LogSNR().times(SDE, 3, 1e-3)

    def sampled(solver, method):
        guided = posterior(prior, SDE, measured(), method, (SIZE,))
        jax.eval_shape(lambda: sj.sample(keys, solver, SDE, guided, grid, (SIZE,)))
        jax.eval_shape(lambda: sj.transport(keys[0], solver, SDE, guided, jnp.zeros(SIZE), grid))

    with pytest.warns(UserWarning, match=r"PiGDM\(.*sampled with churn 0: .*churn 1 or more"):
        sampled(FLOW, PiGDM())
    with pytest.warns(UserWarning, match=r"DataAssimilation\(.*sampled with churn 1: .*churn 1.96 or more"):
        sampled(REVERSE, DataAssimilation())
    given = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (2, *jnp.shape(leaf))), measured())
    with pytest.warns(UserWarning, match="sampled with churn 0"):
        jax.eval_shape(lambda: draw(keys, given, PiGDM(), FLOW, SDE, prior, grid, (SIZE,)))
    sampled(FLOW, MomentMatching())
    sampled(REVERSE, PiGDM())
    found = Ensemble(np.zeros((1, 2, SIZE)), np.ones((1, 2)), np.zeros((1, 2, 0)))
    assert found.flags(PiGDM(), FLOW).point_estimates
    assert not found.flags(PiGDM(), REVERSE).point_estimates


@pytest.mark.parametrize("solver", [FLOW, REVERSE], ids=["flow", "reverse"])
@pytest.mark.filterwarnings("ignore:DataAssimilation")
def test_a_posterior_that_explodes_is_refused(solver):
    """Prior N(0, 1), y = x0 + 0.1 z: without gamma the push is 100 times what the noise of x_t can bear."""
    prior = exact.GaussianDenoiser(SDE, np.zeros(1), 1.0)
    measurement = Measurement(Identity(), jnp.array([0.5]), Independent(0.1))
    guided = posterior(prior, SDE, measurement, DataAssimilation(0.0), (1,))
    keys, grid = jax.random.split(jax.random.key(0), 3), sj.grids.LogSNR().times(SDE, 50, 1e-3)
    with pytest.raises(Exception, match="came to NaN or infinity"):
        jax.block_until_ready(sj.sample(keys, solver, SDE, guided, grid, (1,)).x)


def test_a_measurement_far_from_the_prior_is_no_explosion():
    """y = 50 deviations away: the posterior is N(y / 1.01, 0.01 / 1.01)."""
    prior = exact.GaussianDenoiser(SDE, np.zeros(1), 1.0)
    measurement = Measurement(Identity(), jnp.array([50.0]), Independent(0.1))
    guided = posterior(prior, SDE, measurement, MomentMatching(), (1,))
    grid = sj.grids.LogSNR().times(SDE, 60, 1e-3)
    x = sj.sample(jax.random.split(jax.random.key(0), 9), sj.DPMSolverMultistep(), SDE, guided, grid, (1,)).x
    np.testing.assert_allclose(x, 50 / 1.01, atol=0.6)


def of_the_paper(steps: int, eta: float, eta_b: float):
    """Kawar et al. 2022, eq. 7 and 8, on Gaussian data whose singular vectors are the numbers themselves."""
    grid = sj.grids.LogSNR().times(SDE, steps, 1e-3)
    levels = np.asarray(SDE.sigma(grid) / SDE.alpha(grid))
    mean = np.where(SEEN, Y, 0.0)
    covariance = np.diag(np.where(SEEN, levels[0] ** 2 - NOISE**2, levels[0] ** 2))
    for tau, below in pairwise(levels):
        clean = COVARIANCE @ np.linalg.inv(COVARIANCE + tau**2 * np.eye(SIZE))
        keep = np.sqrt(1 - eta**2)
        matrix = clean + keep * below / tau * (np.eye(SIZE) - clean)
        offset, noise = np.zeros(SIZE), np.full(SIZE, eta**2 * below**2)
        for i in np.flatnonzero(SEEN):
            if below < NOISE:
                matrix[i], offset[i] = (1 - keep * below / NOISE) * clean[i], keep * below / NOISE * Y[i]
            else:
                matrix[i], offset[i] = (1 - eta_b) * clean[i], eta_b * Y[i]
                noise[i] = below**2 - (eta_b * NOISE) ** 2
        mean, before = matrix @ mean + offset, matrix @ covariance @ matrix.T
        covariance = before + np.diag(noise)
    return np.abs((mean - MEAN) / np.sqrt(np.diag(POSTERIOR))).max(), np.sqrt(np.diag(before) / np.diag(POSTERIOR))


@pytest.mark.parametrize(
    ("steps", "eta", "eta_b"), [(20, 0.85, 1.0), pytest.param(400, 0.85, 0.7, marks=pytest.mark.slow)]
)
def test_ddrm_is_the_paper_s_chain(steps, eta, eta_b):
    found, (away, ratios) = law(None, DDRM(measured(), eta, eta_b), steps), of_the_paper(steps, eta, eta_b)
    assert found.away == pytest.approx(away, abs=0.01)
    np.testing.assert_allclose(found.ratios, ratios, rtol=0.01)


@pytest.mark.slow
def test_ddrm_moves_away_from_the_posterior_as_its_steps_grow():
    """What the paper's chain renews in a step, eta, does not fall with the step."""
    assert of_the_paper(20, 0.85, 1.0)[1].min() > 0.5
    assert of_the_paper(2000, 0.85, 1.0)[1].min() < 0.4
    assert of_the_paper(2000, 1.0, 1.0)[1].max() > 1.5


@pytest.mark.parametrize("eta", [0.85, pytest.param(1.0, marks=pytest.mark.slow)])
def test_in_many_steps_ddrm_samples_white_data_that_are_not_measured_too_narrow(eta):
    """At a noise level that many steps share, P = (1 - (1 - q) w)^2 P + eta^2 sigma^2 with q = sqrt(1 - eta^2) and w =
    sigma^2 / (v + sigma^2): for small w the deviation is sqrt((1 + q) / 2) of the data's."""
    prior = exact.GaussianDenoiser(SDE, np.zeros(SIZE), 1.0)
    nothing = Measurement(Identity(), jnp.full(SIZE, jnp.nan), Independent(NOISE))
    grid = sj.grids.LogSNR().times(SDE, 4000, 1e-2)
    _, covariance = moments(DDRM(nothing, eta), prior, grid, np.eye(SIZE))
    expected = np.sqrt((1 + np.sqrt(1 - eta**2)) / 2)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), expected, atol=0.02)
