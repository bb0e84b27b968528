"""Gaussian data have exact posteriors: x0 | y is a Gaussian, whose denoiser every method is compared with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.errors import InputError
from sde_jax.guidance import DPS, DataAssimilation, DiffPIR, MomentMatching, PiGDM, posterior
from sde_jax.guidance.posterior import Problem, linearised
from sde_jax.measurement import Correlated, Identity, Independent, Mask, Matrix, Measurement, NonLinear
from sde_jax.prediction import exact

RANDOM = np.random.default_rng(0)
ROOT = RANDOM.normal(size=(4, 4))
MEAN, COVARIANCE = RANDOM.normal(size=4), ROOT @ ROOT.T / 4 + 0.3 * np.eye(4)
POOL = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
POINT = np.array([[0.0, 1.0, 0.0, 0.0]])
X = RANDOM.normal(size=4)
PATHS = [sj.VP(), sj.VE(0.01, 30.0), sj.RectifiedFlow(), sj.MeanReverting(0.7, 0.5)]
LINEAR = [MomentMatching(), PiGDM(), DataAssimilation(), DiffPIR()]


def two_sources(deviations=(0.2, 0.1), values=((0.3, -0.5), (1.0,))) -> tuple[Measurement, ...]:
    """Two pooled observations, and a sensor."""
    parts = zip((POOL, POINT), values, deviations, strict=True)
    return tuple(Measurement(Matrix(jnp.asarray(a)), jnp.array(y), Independent(d)) for a, y, d in parts)


def conditioned(mean, covariance, a, r, y):
    """The mean and the covariance of x0 given y = A x0 + n."""
    gain = covariance @ a.T @ np.linalg.inv(a @ covariance @ a.T + r)
    return mean + gain @ (y - a @ mean), covariance - gain @ a @ covariance


def both() -> tuple[np.ndarray, np.ndarray]:
    """The exact posterior given the two sources."""
    a, r = np.concatenate([POOL, POINT]), np.diag([0.04, 0.04, 0.01])
    return conditioned(MEAN, COVARIANCE, a, r, np.array([0.3, -0.5, 1.0]))


@pytest.mark.parametrize("sde", PATHS, ids=lambda sde: type(sde).__name__)
def test_moment_matching_is_the_posterior_of_gaussian_data_at_every_noise_level(sde):
    prior, truth = exact.GaussianDenoiser(sde, MEAN, COVARIANCE), exact.GaussianDenoiser(sde, *both())
    guided = posterior(prior, sde, two_sources(), MomentMatching(tolerance=1e-9), (4,))
    times = jnp.array([0.05, 0.5, 0.95])
    corrected = jax.jit(jax.vmap(guided.corrected, (None, 0)))(jnp.asarray(X), times)
    expected = jax.jit(jax.vmap(truth, (None, 0)))(jnp.asarray(X), times)
    assert np.allclose(corrected.x0, expected, atol=1e-8)
    assert corrected.unsolved.max() < 1e-9


def test_noise_that_is_correlated_and_values_that_are_missing_are_taken_into_account():
    sde, root = sj.VP(), RANDOM.normal(size=(3, 3))
    a, r, y = RANDOM.normal(size=(3, 4)), root @ root.T + 0.1 * np.eye(3), np.array([0.5, np.nan, -0.3])
    seen = ~np.isnan(y)
    moments = conditioned(MEAN, COVARIANCE, a[seen], r[np.ix_(seen, seen)], y[seen])
    measurement = Measurement(Matrix(jnp.asarray(a)), jnp.asarray(y), Correlated(jnp.asarray(r)))
    prior, truth = exact.GaussianDenoiser(sde, MEAN, COVARIANCE), exact.GaussianDenoiser(sde, *moments)
    guided = posterior(prior, sde, measurement, MomentMatching(tolerance=1e-9), (4,))
    assert np.allclose(jax.jit(guided)(jnp.asarray(X), 0.4), truth(jnp.asarray(X), 0.4), atol=1e-8)


def test_moment_matching_linearises_what_is_not_linear_at_the_clean_estimate():
    sde, observe = sj.VP(), lambda x: jnp.sin(x[:2]) + x[2] ** 2
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    y, x, t = jnp.array([0.4, 0.1]), jnp.asarray(X), 0.3
    measurement = Measurement(NonLinear(observe), y, Independent(0.3))
    clean = prior(x, t)
    slope = np.asarray(jax.jacobian(observe)(clean))
    covariance = np.asarray(sde.variance(t) / sde.alpha(t) * jax.jacobian(lambda x: prior(x, t))(x))
    moments = conditioned(np.asarray(clean), covariance, slope, 0.09 * np.eye(2), y - observe(clean) + slope @ clean)
    guided = posterior(prior, sde, measurement, MomentMatching(tolerance=1e-9), (4,))
    assert np.allclose(jax.jit(guided)(x, t), moments[0], atol=1e-8)


def test_pigdm_is_exact_for_white_data_of_its_variance():
    sde, a = sj.VP(), RANDOM.normal(size=(2, 4))
    moments = conditioned(np.zeros(4), 0.6 * np.eye(4), a, 0.04 * np.eye(2), np.array([1.0, -0.2]))
    prior, truth = exact.GaussianDenoiser(sde, 0.0 * MEAN, 0.6), exact.GaussianDenoiser(sde, *moments)
    measurement = Measurement(Matrix(jnp.asarray(a)), jnp.array([1.0, -0.2]), Independent(0.2))
    guided = posterior(prior, sde, measurement, PiGDM(tolerance=1e-9, data_variance=0.6), (4,))
    for t in (0.1, 0.8):
        assert np.allclose(jax.jit(guided)(jnp.asarray(X), t), truth(jnp.asarray(X), t), atol=1e-8)


def test_data_assimilation_is_exact_for_white_data_where_gamma_is_their_share_of_the_variance():
    sde, t = sj.VP(), 0.3
    alpha2, variance = float(sde.alpha(t)) ** 2, float(sde.variance(t))
    a = np.linalg.qr(RANDOM.normal(size=(4, 2)))[0].T
    moments = conditioned(np.zeros(4), np.eye(4), a, 0.04 * np.eye(2), np.array([1.0, -0.2]))
    prior, truth = exact.GaussianDenoiser(sde, 0.0 * MEAN, 1.0), exact.GaussianDenoiser(sde, *moments)
    measurement = Measurement(Matrix(jnp.asarray(a)), jnp.array([1.0, -0.2]), Independent(0.2))
    guided = posterior(prior, sde, measurement, DataAssimilation(alpha2 / (alpha2 + variance)), (4,))
    assert np.allclose(guided(jnp.asarray(X), t), truth(jnp.asarray(X), t), atol=1e-10)


def test_diffpir_is_where_the_gradient_of_its_objective_is_zero():
    sde, t, sources = sj.VP(), 0.4, two_sources()
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    clean, square = prior(jnp.asarray(X), t), sde.variance(t) / sde.alpha(t) ** 2 / 2.0

    def objective(x0):
        return sum(s.chi_square(x0) for s in sources) + jnp.sum((x0 - clean) ** 2) / square

    x0 = jax.jit(posterior(prior, sde, sources, DiffPIR(tolerance=1e-9, trust=2.0), (4,)))(jnp.asarray(X), t)
    assert np.abs(jax.grad(objective)(x0)).max() < 1e-6


def test_dps_pushes_the_score_down_the_squared_residual_over_its_root():
    sde, t, sources = sj.VP(), 0.4, two_sources()
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    square = lambda x: sum(jnp.sum(s.residual(prior(x, t)) ** 2) for s in sources)  # noqa: E731
    pushed = lambda x, t: sj.score_of(prior, sde)(x, t) - 0.8 * jax.grad(square)(x) / jnp.sqrt(square(x))  # noqa: E731
    guided = posterior(prior, sde, sources, DPS(0.8), (4,))
    assert np.allclose(guided(jnp.asarray(X), t), sj.denoiser_of(pushed, sde)(jnp.asarray(X), t), atol=1e-10)


@pytest.mark.parametrize("method", LINEAR, ids=lambda method: type(method).__name__)
def test_a_measurement_of_much_noise_or_of_nothing_leaves_the_prior(method):
    sde = sj.VP()
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    nothing = Measurement(Matrix(jnp.asarray(POOL)), jnp.full(2, jnp.nan), Independent(0.2))
    for measured in (two_sources((1e6, 1e6)), nothing):
        guided = jax.jit(posterior(prior, sde, measured, method, (4,)))
        assert np.allclose(guided(jnp.asarray(X), 0.4), prior(jnp.asarray(X), 0.4), atol=1e-8)


@pytest.mark.parametrize("method", [*LINEAR, DPS()], ids=lambda method: type(method).__name__)
def test_what_a_mask_hides_is_as_if_it_had_not_been_measured(method):
    sde, seen = sj.VP(), np.array([True, False, False, True])
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    hidden = Measurement(Mask(seen), jnp.array([0.4, 50.0, -80.0, 0.1]), Independent(0.2))
    missing = Measurement(Identity(), jnp.where(seen, hidden.value, jnp.nan), Independent(0.2))
    found = [jax.jit(posterior(prior, sde, y, method, (4,)))(jnp.asarray(X), 0.4) for y in (hidden, missing)]
    assert np.allclose(*found, atol=1e-12)


@pytest.mark.parametrize("method", [*LINEAR, DPS()], ids=lambda method: type(method).__name__)
def test_where_the_state_is_noise_alone_the_estimate_is_finite(method):
    sde = sj.RectifiedFlow()
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    assert np.isfinite(jax.jit(posterior(prior, sde, two_sources(), method, (4,)))(jnp.asarray(X), 1.0)).all()


def test_another_source_never_makes_the_posterior_wider():
    one, _ = two_sources()
    a = (POOL, 0.04 * np.eye(2), np.array([0.3, -0.5]))
    wider, narrower = conditioned(MEAN, COVARIANCE, *a)[1], both()[1]
    sde, t = sj.VP(), 0.9
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    spread = [
        np.asarray(jax.jit(jax.jacobian(posterior(prior, sde, s, MomentMatching(), (4,))))(jnp.asarray(X), t))
        for s in (one, two_sources())
    ]
    assert np.linalg.eigvalsh(wider - narrower).min() > -1e-12
    assert np.linalg.eigvalsh(spread[0] - spread[1]).min() > -1e-6


@pytest.mark.parametrize("jacobian", [-np.eye(4), np.diag([1.0, -2.0, 1.5, -0.5]) + 3 * np.tri(4, k=-1)])
def test_moment_matching_is_pigdm_where_the_jacobian_is_no_covariance(jacobian):
    sde, method = sj.VP(), MomentMatching(data_variance=0.7)
    wrong = lambda x, t: jnp.asarray(0.3 * jacobian) @ x  # noqa: E731
    problem = Problem(sde, wrong, two_sources())
    at = linearised(problem, jnp.asarray(X), 0.9)
    corrected = method.correct(at)
    assert corrected.unsolved >= 0.1
    assert np.allclose(corrected.x0, PiGDM(data_variance=0.7).correct(at).x0, atol=1e-4)


def along(count: int, correlation: float, deviation: float, hidden: slice):
    """A stationary AR(1) process, measured but for a gap: prior covariance, y, its measurement, posterior moments."""
    covariance = correlation ** np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    y = np.linalg.cholesky(covariance) @ np.random.default_rng(3).normal(size=count)
    y[hidden] = np.nan
    seen = ~np.isnan(y)
    a = np.eye(count)[seen]
    exactly = conditioned(np.zeros(count), covariance, a, deviation**2 * np.eye(len(a)), y[seen])
    return covariance, Measurement(Identity(), jnp.asarray(y), Independent(deviation)), exactly


@pytest.mark.parametrize("method", [MomentMatching(), MomentMatching(tolerance=1e-9)], ids=["default", "exact"])
def test_by_default_moment_matching_is_the_posterior_of_a_masked_chain(method):
    """Whose covariance has eigenvalues from 0.03 to 30: a few iterations do not do."""
    sde = sj.VP()
    covariance, measurement, moments = along(48, 0.95, 0.1, slice(20, 28))
    truth = exact.GaussianDenoiser(sde, *moments)
    guided = posterior(exact.GaussianDenoiser(sde, np.zeros(48), covariance), sde, measurement, method, (48,))
    x, times = jnp.asarray(np.random.default_rng(4).normal(size=48)), jnp.array([0.05, 0.2, 0.5, 0.95])
    corrected = jax.jit(jax.vmap(guided.corrected, (None, 0)))(x, times)
    expected = jax.vmap(truth, (None, 0))(x, times)
    assert np.all(corrected.unsolved <= method.tolerance)
    assert np.abs(corrected.x0 - expected).max() < 20 * method.tolerance


def test_sources_of_very_different_noise_are_solved_together():
    sde = sj.VP()
    covariance, coarse, _ = along(48, 0.95, 0.5, slice(0, 0))
    fine = Measurement(Identity(), jnp.where(jnp.arange(48) % 3 == 0, coarse.value, jnp.nan), Independent(1e-3))
    prior = exact.GaussianDenoiser(sde, np.zeros(48), covariance)
    guided = posterior(prior, sde, (coarse, fine), MomentMatching(), (48,))
    times = jnp.array([0.02, 0.1, 0.3, 0.9])
    assert np.all(jax.jit(jax.vmap(guided.corrected, (None, 0)))(jnp.zeros(48), times).unsolved <= 1e-3)


def test_conjugate_gradients_that_do_not_converge_are_told():
    sde = sj.VP()
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    problem = Problem(sde, prior, two_sources((1.0, 1e-3)))
    unsolved = lambda method: jax.jit(lambda x: method.correct(linearised(problem, x, 0.4)).unsolved)(  # noqa: E731
        jnp.asarray(X)
    )
    assert unsolved(MomentMatching(iterations=1)) > 0.01
    assert unsolved(MomentMatching(iterations=3, tolerance=1e-6)) < 1e-6


@pytest.mark.parametrize("method", [*LINEAR, DPS()], ids=lambda method: type(method).__name__)
def test_a_new_measurement_compiles_nothing(method):
    sde, compiled = sj.VP(), []
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    @jax.jit
    def estimate(sources, x):
        compiled.append(x)
        return posterior(prior, sde, sources, method, (4,))(x, 0.4)

    first = estimate(two_sources(), jnp.asarray(X))
    other = estimate(two_sources(values=((1.0, 2.0), (3.0,))), jnp.asarray(X))
    assert len(compiled) == 1
    assert not np.allclose(first, other)


@pytest.mark.slow
def test_samples_have_the_moments_of_the_exact_posterior():
    sde, mean_and_covariance = sj.VE(0.01, 30.0), both()
    mean, deviation = mean_and_covariance[0], np.sqrt(np.diag(mean_and_covariance[1]))
    prior, keys = exact.GaussianDenoiser(sde, MEAN, COVARIANCE), jax.random.split(jax.random.key(0), 20_000)
    grid = sj.grids.LogSNR().times(sde, 400, 1e-3)

    def errors(method):
        guided = posterior(prior, sde, two_sources(), method, (4,))
        x = np.asarray(jax.jit(lambda keys: sj.sample(keys, sj.Ancestral(), sde, guided, grid, (4,)).x)(keys))
        return np.abs(x.mean(0) - mean).max(), np.abs(x.std(0) / deviation - 1).max()

    distance, ratio = errors(MomentMatching())
    assert distance < 0.03
    assert ratio < 0.06
    assert errors(PiGDM())[1] < 0.1
    assert errors(DPS())[1] > 0.3  # its spread is no uncertainty


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: MomentMatching(iterations=0), "iterations >= 1"),
        (lambda: PiGDM(data_variance=0.0), "data_variance > 0"),
        (lambda: DataAssimilation(-1.0), "gamma >= 0"),
        (lambda: DPS(0.0), "scale > 0"),
        (lambda: DiffPIR(trust=0.0), "trust > 0"),
    ],
)
def test_methods_out_of_range_are_refused(act, told):
    with pytest.raises(InputError, match=told):
        act()


def test_a_measurement_that_does_not_fit_is_refused_before_anything_is_computed():
    sde = sj.VP()
    prior = exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    with pytest.raises(InputError, match="y of shape"):
        posterior(prior, sde, Measurement(Matrix(POOL), np.zeros(3), Independent(1.0)), PiGDM(), (4,))


def test_an_offset_however_far_is_no_explosion():
    """The posterior of x_t about an offset is that about 0, and x - b is what noise explains."""
    far = sj.Shifted(sj.VP(), lambda t: 1e4 * t)
    measurement = Measurement(Identity(), jnp.array([0.5, -0.2]), Independent(0.3))
    x, t, found = jnp.array([0.4, -1.0]), 0.6, []
    for sde in (sj.VP(), far):
        denoise = exact.GaussianDenoiser(sde, 0.0, 0.5)
        found.append(posterior(denoise, sde, measurement, MomentMatching(), (2,))(x + sde.offset(t), t))
    np.testing.assert_allclose(*found, rtol=1e-6)
