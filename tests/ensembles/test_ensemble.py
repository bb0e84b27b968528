from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.ensembles import Ensemble, chi_square_of, coverage, draw, drawn, quantities, rank_histogram, uniformity
from sde_jax.errors import InputError
from sde_jax.guidance import DPS, DataAssimilation, DiffPIR, MomentMatching, PiGDM
from sde_jax.measurement import Identity, Independent, Matrix, Measurement, measure
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.sampling import DPMSolverMultistep, LogSNR, recommended_grid
from sde_jax.sde import VP

SDE = VP()
COVARIANCE = np.array([[1.0, 0.6, 0.2], [0.6, 0.8, 0.3], [0.2, 0.3, 0.5]])
MEAN = np.array([0.5, -0.3, 0.1])
DENOISE = GaussianDenoiser(SDE, MEAN, COVARIANCE)
NOISE = Independent(0.3)
SOLVER, GRID = DPMSolverMultistep(churn=1.0), LogSNR().times(SDE, 60)
SEES = Matrix(np.array([[0.5, 0.5, 0.0]]))


def measured(key, count: int) -> tuple[np.ndarray, Measurement]:
    """Truths, and measurements of the mean of the first two numbers."""
    first, second = jax.random.split(key)
    truth = jax.random.multivariate_normal(first, MEAN, COVARIANCE, (count,), method="cholesky")
    return np.asarray(truth), jax.vmap(lambda k, x: measure(k, SEES, x, NOISE))(jax.random.split(second, count), truth)


def few(count: int, given: Measurement, method) -> Ensemble:
    """Ensembles in three steps."""
    return drawn(jax.random.key(1), count, given, method, SOLVER, SDE, DENOISE, GRID[::20], (3,))


@pytest.fixture(scope="module")
def gaussian() -> tuple[np.ndarray, Measurement, Ensemble]:
    """Truths, measurements, and ensembles of 15 by moment matching, which is exact here."""
    truth, given = measured(jax.random.key(0), 300)
    args = SOLVER, SDE, DENOISE, GRID, (3,)
    return truth, given, drawn(jax.random.key(1), 15, given, MomentMatching(), *args)


def test_the_whole_chain_is_calibrated_on_a_gaussian(gaussian):
    truth, given, ensemble = gaussian
    for level in (0.5, 0.9):
        found = coverage(truth, ensemble.members, level)
        assert abs(found.value - level) < 4 * found.standard_error
    for name, value in jax.vmap(quantities)(given, truth).items():
        ranked = jax.vmap(lambda y, members: jax.vmap(partial(quantities, y))(members))(given, ensemble.members)[name]
        assert uniformity(rank_histogram(value, ranked, 8)).p_value > 0.001, name


def test_posterior_samples_fit_what_was_measured_as_well_as_the_truth_does(gaussian):
    truth, given, ensemble = gaussian
    fits = jax.vmap(lambda y, members: jax.vmap(partial(chi_square_of, y))(members))(given, ensemble.members)
    assert np.mean(jax.vmap(chi_square_of)(given, truth)) == pytest.approx(1, abs=0.3)
    assert np.mean(fits) == pytest.approx(1, abs=0.3)


def test_the_mean_and_the_deviation_are_the_posteriors(gaussian):
    _, given, ensemble = gaussian
    a = np.asarray(SEES.matrix)
    gain = COVARIANCE @ a.T @ np.linalg.inv(a @ COVARIANCE @ a.T + 0.3**2)
    mean = MEAN + (np.asarray(given.value) - a @ MEAN) @ gain.T
    deviation = np.sqrt(np.diag(COVARIANCE - gain @ a @ COVARIANCE))
    assert np.mean(ensemble.mean - mean, 0) == pytest.approx(0, abs=0.05)
    np.testing.assert_allclose(np.sqrt(np.mean(ensemble.deviation**2, 0)), deviation, rtol=0.05)


def test_a_member_is_a_function_of_the_key_its_measurement_and_its_number():
    _, given = measured(jax.random.key(2), 3)
    whole = few(2, given, PiGDM())
    part = few(2, jax.tree.map(lambda leaf: leaf[:2], given), PiGDM())
    assert whole.members.shape == (3, 2, 3)
    np.testing.assert_allclose(part.members, whole.members[:2], atol=1e-5)
    assert len(np.unique(np.round(whole.members[..., 0], 4))) == 6


@pytest.mark.parametrize("method", [MomentMatching(), PiGDM(), DataAssimilation(1.0), DPS(), DiffPIR()], ids=str)
def test_no_method_compiles_anything_for_a_new_measurement(method, compilations):
    program = jax.jit(
        lambda keys, given: draw(keys, given, method, SOLVER, SDE, DENOISE, jnp.asarray(GRID[::20]), (3,))
    )
    keys = jax.random.split(jax.random.key(0), 2)
    values = [np.array([[1.0, np.nan, 0.2], [0.0, 1.0, np.nan]]), np.array([[np.nan] * 3, [0.1, 0.2, 0.3]])]
    one, other = (
        Measurement(Identity(), jnp.asarray(v), Independent(jnp.full(2, s)))
        for v, s in zip(values, (0.1, 0.5), strict=True)
    )
    first, before = program(keys, one), compilations()
    second = program(keys, other)
    assert compilations() == before
    assert not np.allclose(first.members, second.members)


def test_linear_systems_that_are_left_unsolved_are_flagged_with_how_many_and_how_far():
    truth, _ = measured(jax.random.key(3), 2)
    given = Measurement(Identity(), jnp.asarray(truth), Independent(jnp.full(2, 0.01)))
    hasty = MomentMatching(iterations=1, tolerance=1e-4)
    with pytest.warns(UserWarning, match=r"MomentMatching\(iterations=1.*--config.method.iterations"):
        flags = few(2, given, hasty).flags(hasty, SOLVER)
    assert flags.unsolved > 0
    assert flags.worst > flags.tolerance == 1e-4
    assert any("% of the linear systems" in line for line in flags.warnings())
    enough = MomentMatching(iterations=10, tolerance=1e-2)
    assert not list(few(2, given, enough).flags(enough, SOLVER).warnings())


def test_point_estimates_and_numbers_that_are_not_finite_are_flagged():
    members = np.array([[[0.0, 1.0], [np.nan, 0.0]]])
    flags = Ensemble(members, np.ones((1, 2)), np.zeros((1, 2, 0))).flags(DPS(), SOLVER)
    assert (flags.not_finite, flags.point_estimates, flags.unsolved) == (1, True, 0)
    first, second = flags.warnings()
    assert first.startswith("point estimates")
    assert second == "1 samples hold NaN or infinity"


def test_one_member_has_no_deviation():
    assert np.isnan(Ensemble(np.zeros((2, 1, 3)), np.ones((2, 1)), np.zeros((2, 1, 0))).deviation).all()


def test_no_members_and_measurements_that_are_not_one_each_are_refused():
    _, given = measured(jax.random.key(2), 3)
    with pytest.raises(InputError, match="0 members"):
        few(0, given, DPS())
    with pytest.raises(InputError, match="of every array, one k"):
        few(2, Measurement(SEES, np.zeros((2, 1)), NOISE), DPS())


def test_a_number_of_steps_is_the_recommended_grid():
    _, given = measured(jax.random.key(0), 2)
    members = [
        drawn(jax.random.key(1), 2, given, PiGDM(), SOLVER, SDE, DENOISE, grid, (3,)).members
        for grid in (4, recommended_grid(SOLVER, SDE, 4))
    ]
    np.testing.assert_array_equal(*members)
