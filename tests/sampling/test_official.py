"""The official code's discretisations as options, and the parts that do nothing.

Their agreement with its recorded values is in tests/test_recorded.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import (
    BatchLangevin,
    DDPMAncestral,
    EulerSteps,
    Identity,
    NoCorrection,
    SMLDAncestral,
    Tables,
    grids,
)
from sde_jax.sde import DDPM, SMLD
from sde_jax.testing import marginal, moments

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
KEY = jax.random.key(0)


def name(value):
    return type(value).__name__


def step_of(solver, sde, t, s, x=2 * MEAN):
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    return solver.step(KEY, x, t, s, (), sde=sde, denoise=denoise)[0]


@pytest.mark.parametrize("churn", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_euler_steps_reversed_are_euler_maruyama_with_steps_of_their_own_length(sde, churn):
    ours = step_of(sj.ReverseDiffusion(churn, EulerSteps(50)), sde, 0.5, 0.123)
    theirs = step_of(sj.EulerMaruyama(churn), sde, 0.5, 0.5 - 1 / 50)
    for field in ("x", "mean"):
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), rtol=1e-10)


@pytest.mark.parametrize("chain", [DDPM(steps=40), SMLD(steps=40)], ids=name)
def test_tables_hold_the_exact_transitions_of_their_chain(chain):
    for i in (1, 7, 39):
        t, s = float(chain.time(i)), float(chain.time(i - 1))
        np.testing.assert_allclose(Tables(chain).link(chain, t, 0.0), chain.transition(s, t), rtol=1e-6)


def test_the_first_row_of_the_tables_is_the_step_from_data():
    for chain in (DDPM(steps=40), SMLD(steps=40)):
        a, q = Tables(chain).link(chain, 1e-3, 0.0)
        np.testing.assert_allclose((a, q), (chain.alpha(0.0), chain.sigma(0.0)), rtol=1e-9)


def test_a_row_is_a_time_truncated_in_float32():
    # 1 / 3 lies above a third in float32, and 999 of it round to 333
    times = np.array([0.0, 1 / 3, 0.999, np.nextafter(1.0, 0.0), 1.0])
    rows = Tables(DDPM(steps=1000)).row(times)
    np.testing.assert_array_equal(rows, (times.astype(np.float32) * np.float32(999)).astype(int))
    assert rows.tolist() == [0, 333, 998, 999, 999]


@pytest.mark.slow
@pytest.mark.parametrize(("sde", "chain"), [(sj.VP(), DDPM), (sj.VE(0.1, 3.0), SMLD)], ids=name)
def test_the_official_samplers_converge_to_the_data_with_the_number_of_their_steps(sde, chain):
    settings = {"sigma_min": 0.1, "sigma_max": 3.0} if chain is SMLD else {}
    errors = []
    for steps in (50, 200):
        tables = chain(**settings, steps=steps)
        ancestral = (DDPMAncestral if chain is DDPM else SMLDAncestral)(tables)
        solvers = [ancestral, *(sj.ReverseDiffusion(churn, Tables(tables)) for churn in (0.0, 1.0))]
        grid = grids.official(steps, 1e-3)[:-1]  # where it ends the marginal is known
        reached = [moments(solver, sde, MEAN, COVARIANCE, [grid])[0] for solver in solvers]
        exact = marginal(sde, MEAN, COVARIANCE, grid[-1])
        errors.append([sum(np.abs(a - b).max() for a, b in zip(r, exact, strict=True)) for r in reached])
    few, many = np.array(errors)
    assert np.all(many < 0.1)
    assert np.all(few / many > 3)


def test_smlds_last_step_draws_nothing_and_ddpms_draws_the_first_beta():
    smld, ddpm = SMLDAncestral(SMLD(steps=50)), DDPMAncestral(DDPM(steps=50))
    end = step_of(smld, sj.VE(), 1e-3, 0.0)
    np.testing.assert_array_equal(end.x, end.mean)
    end, z = step_of(ddpm, sj.VP(), 1e-3, 0.0), jax.random.normal(KEY, (2,))
    np.testing.assert_allclose((end.x - end.mean) / z, np.sqrt(0.1 / 50), rtol=1e-9)


def test_batch_langevin_steps_by_the_mean_norms_of_noise_and_score():
    sde, x = sj.VP(), np.array([[2.0, -1.0], [0.5, 3.0], [-1.0, 0.2]])
    denoise, corrector = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE), BatchLangevin(snr=0.3)

    @jax.jit
    @functools.partial(jax.vmap, axis_name=sj.sampling.loop.SAMPLES)
    def move(key, x):
        return corrector.correct(key, x, 0.4, (0.4, 0.3), sde=sde, denoise=denoise)

    moved = move(jax.random.split(KEY, 3), x)
    score = jax.vmap(lambda x: sj.score_of(denoise, sde)(x, 0.4))(x)
    e = (moved.mean - x) / score
    np.testing.assert_allclose(e, e[0, 0], rtol=1e-9)
    z = (moved.x - moved.mean) / np.sqrt(2 * e)
    ratio = np.linalg.norm(z, axis=1).mean() / np.linalg.norm(score, axis=1).mean()
    np.testing.assert_allclose(e, 2 * (float(sde.alpha(0.4) / sde.alpha(0.3)) * 0.3 * ratio) ** 2, rtol=1e-9)


def test_batch_langevin_of_one_sample_alone_is_refused():
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    with pytest.raises(sj.InputError, match="expected to run within `sample`"):
        BatchLangevin().correct(KEY, MEAN, 0.4, (0.4, 0.3), sde=sj.VP(), denoise=denoise)


def test_a_predictor_without_correction_is_the_predictor():
    key, predictor = jax.random.split(KEY)[1], sj.Ancestral()
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    alone, _ = predictor.step(key, MEAN, 0.4, 0.3, (), sde=sj.VP(), denoise=denoise)
    step = step_of(sj.PredictorCorrector(predictor, NoCorrection()), sj.VP(), 0.4, 0.3, MEAN)
    for ours, theirs in zip(step, alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_annealed_langevin_dynamics_comes_to_the_data_by_corrections_alone():
    sde, grid = sj.VE(0.1, 3.0), np.linspace(1.0, 0.0, 60)
    solver = sj.PredictorCorrector(Identity(), sj.Langevin(snr=0.2, steps=20), corrector_first=False)
    (reached,) = moments(solver, sde, MEAN, COVARIANCE, [grid])
    exact = marginal(sde, MEAN, COVARIANCE, 0.0)
    np.testing.assert_allclose(reached.mean, exact.mean, atol=0.02)
    np.testing.assert_allclose(reached.covariance, exact.covariance, atol=0.03)


def test_the_identity_leaves_x_as_it_is_and_only_corrections_cost_evaluations():
    for solver, calls in ((Identity(), 0), (sj.PredictorCorrector(Identity(), sj.Langevin(steps=3)), 3)):
        step = step_of(solver, sj.VP(), 0.4, 0.3)
        assert np.array_equal(step.x, 2 * MEAN) == (calls == 0)
        assert step.evaluations == calls


def test_the_official_grid_starts_a_step_at_each_of_its_times_and_ends_at_data():
    np.testing.assert_allclose(grids.official(4, 0.1), [1.0, 0.7, 0.4, 0.1, 0.0])
    np.testing.assert_allclose(grids.OfficialGrid().times(sj.VP(), 3, 0.2, 0.6), [0.6, 0.4, 0.2, 0.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: grids.official(1, 0.1),
        lambda: grids.official(10, 0.0),
        lambda: grids.official(10, 0.5, 0.5),
        lambda: grids.official(10, 0.5, 1.5),
        lambda: EulerSteps(0),
        lambda: Tables(sj.VP()),
        lambda: BatchLangevin(snr=0.0),
    ],
)
def test_settings_without_meaning_are_refused(make):
    with pytest.raises(sj.InputError, match="expected"):
        make()


def test_the_official_ancestral_steps_are_the_formulas_of_their_papers():
    """Ho et al. 2020, algorithm 2, with sigma^2 = beta; Song et al. 2021, appendix F, with the posterior's variance."""
    x, x0, i = jnp.array([0.7, -1.2]), jnp.array([0.2, 0.1]), 600
    key = jax.random.key(0)
    z = np.asarray(jax.random.normal(key, x.shape, x.dtype))
    chain = sj.DDPM()
    beta, abar = chain.betas()[i], chain.alphas_cumprod()[i]
    eps = (x - np.sqrt(abar) * x0) / np.sqrt(1 - abar)
    t = chain.time(i)
    step, _ = DDPMAncestral(chain).step(key, x, t, t - 1e-3, (), sde=chain, denoise=lambda x, t: x0)
    mean = (x - beta / np.sqrt(1 - abar) * eps) / np.sqrt(1 - beta)
    np.testing.assert_allclose(step.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(step.x - step.mean, np.sqrt(beta) * z, rtol=1e-6)

    levels = sj.SMLD()
    before, now = np.asarray(levels.sigmas(), float)[i - 1 : i + 1]
    t = levels.time(i)
    step, _ = SMLDAncestral(levels).step(key, x, t, t - 1e-3, (), sde=levels, denoise=lambda x, t: x0)
    # the law of x_(i-1) given x_i and x_0
    np.testing.assert_allclose(step.mean, (before**2 * x + (now**2 - before**2) * x0) / now**2, rtol=1e-6)
    np.testing.assert_allclose(step.x - step.mean, before * np.sqrt(now**2 - before**2) / now * z, rtol=1e-6)
