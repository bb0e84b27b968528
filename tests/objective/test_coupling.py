import itertools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.spatial.distance

import sde_jax as sj
from sde_jax import guidance, measurement, particles
from sde_jax.objective import FlowMatching, Independent, Mean, OptimalTransport, Reflow, matching_error
from sde_jax.prediction import Coupled, at_equal_log_snr
from sde_jax.reverse import reverse
from sde_jax.sampling import Restart, editing
from sde_jax.sampling.loop import transport

N, SHAPE = 5, (2, 3)
KEY = jax.random.key(0)
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([0.4, 0.05])


def draw(seed, n=N):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, *SHAPE)), rng.standard_normal((n, *SHAPE))


def cost(x0, eps):
    return float(np.sum((np.asarray(x0) - np.asarray(eps)) ** 2))


@pytest.mark.parametrize("seed", range(8))
def test_optimal_transport_is_the_cheapest_of_all_permutations(seed):
    x0, eps = draw(seed)
    ours, paired = jax.jit(OptimalTransport().pair)(KEY, x0, eps)
    cheapest = min(itertools.permutations(range(N)), key=lambda order: cost(x0, eps[list(order)]))
    np.testing.assert_array_equal(ours, x0)
    np.testing.assert_array_equal(paired, eps[list(cheapest)])


@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 1, 7], [[0, 3], [0, 4], [0, 3], [1, 3], [1, 3], [1, 3]]], ids=str)
def test_optimal_transport_within_classes_is_the_cheapest_that_leaves_each_class_its_noise(labels):
    x0, eps = draw(0, 6)
    label = np.asarray(labels).reshape(6, -1)
    allowed = [o for o in itertools.permutations(range(6)) if np.array_equal(label[list(o)], label)]
    cheapest = min(allowed, key=lambda order: cost(x0, eps[list(order)]))
    ours, paired = jax.jit(OptimalTransport().pair)(KEY, x0, eps, np.asarray(labels))
    np.testing.assert_array_equal(ours, x0)
    np.testing.assert_array_equal(paired, eps[list(cheapest)])
    assert cost(x0, paired) > cost(*OptimalTransport().pair(KEY, x0, eps))


@pytest.mark.parametrize(("n", "classes"), [(1, 1), (16, 1), (64, 3), (128, 1), (128, 10)])
def test_optimal_transport_costs_what_scipys_assignment_costs(n, classes):
    rng = np.random.default_rng(n + classes)
    x0, eps = rng.uniform(-1, 1, (n, 48)).astype("f"), rng.standard_normal((n, 48)).astype("f")
    label = rng.integers(0, classes, n)
    ours, paired = jax.jit(OptimalTransport().pair)(KEY, x0, eps, label)
    best = 0.0
    for one in range(classes):
        distances = scipy.spatial.distance.cdist(x0[label == one], eps[label == one], "sqeuclidean")
        best += distances[scipy.optimize.linear_sum_assignment(distances)].sum()
    np.testing.assert_allclose(cost(ours.astype(float), paired.astype(float)), best, rtol=1e-6)
    assert sorted(map(bytes, np.asarray(paired))) == sorted(map(bytes, eps))


def test_a_batch_that_is_not_finite_ends_the_search_and_stays_seen():
    x0, eps = draw(0)
    x0[2], eps[1, 0, 0] = np.nan, np.inf
    ours, paired = jax.jit(OptimalTransport().pair)(KEY, x0, eps)
    assert np.isnan(ours[2]).all()
    np.testing.assert_array_equal(np.sort(np.ravel(paired)), np.sort(np.ravel(eps)))


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_optimal_transport_lowers_for_every_platform_without_a_callback(platform):
    like = jax.ShapeDtypeStruct((8, 4), jnp.float32)
    pair = jax.jit(lambda x0, eps: OptimalTransport().pair(KEY, x0, eps))
    program = jax.export.export(pair, platforms=[platform])(like, like).mlir_module()
    assert "stablehlo.while" in program
    assert not [line for line in program.splitlines() if "custom_call" in line and "callback" in line]


def test_coupled_pairs_have_a_flow_and_no_score():
    # the cheapest pairs of N(0, 1) and N(m, s^2) are x0 = m + s eps: x_t = (1 - t) m + ((1 - t) s + t) eps
    m, s, sde = 1.5, 0.25, sj.RectifiedFlow()
    denoise = lambda x, t: m + s * (x - (1 - t) * m) / ((1 - t) * s + t)  # noqa: E731
    marked, keys = Coupled(denoise, "OptimalTransport"), jax.random.split(KEY, 400)
    noise = jax.vmap(lambda key: jax.random.normal(jax.random.split(key)[0], (1,)))(keys)
    for solver in (sj.DDIM(), sj.ProbabilityFlow(sj.Tolerance(1e-9, 1e-9))):
        drawn = sj.sample(keys, solver, sde, marked, np.linspace(1, 0.01, 9), (1,)).x
        np.testing.assert_allclose(drawn, 0.99 * m + (0.99 * s + 0.01) * noise, atol=1e-7)
    found = sj.log_likelihood(KEY, sde, marked, jnp.array([1.2]), divergence=sj.Exact(), start=1e-6).value
    np.testing.assert_allclose(found, jax.scipy.stats.norm.logpdf(1.2, m, s), atol=1e-4)
    # taken for a score it draws another law, which is why it is refused
    wrong = sj.sample(keys, sj.Ancestral(), sde, denoise, np.linspace(1, 0, 200), (1,)).x
    assert abs(float(jnp.std(wrong)) / s - 1) > 0.2


SDE = sj.VP()
MARKED = Coupled(sj.exact.GaussianDenoiser(SDE, MEAN, COVARIANCE), "OptimalTransport")
GRID, X = np.linspace(1.0, 1e-3, 5), np.zeros(2)
SEEN = measurement.Measurement(measurement.Identity(), X, measurement.Independent(0.1))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: sj.sample(jax.random.split(KEY, 2), sj.PredictorCorrector(), SDE, MARKED, GRID, (2,)),
        lambda: sj.sample(jax.random.split(KEY, 2), Restart(sj.DDIM()), SDE, MARKED, GRID, (2,)),
        lambda: transport(KEY, sj.sampling.ReverseSDE(), SDE, MARKED, X, GRID),
        lambda: editing.sdedit(KEY, sj.DDIM(), SDE, MARKED, X, GRID),
        lambda: editing.langevin(KEY, SDE, MARKED, X, 0.5),
        lambda: sj.score_of(MARKED, SDE),
        lambda: at_equal_log_snr(MARKED, SDE, sj.VE()),
        lambda: reverse(SDE, MARKED),
        lambda: sj.elbo(KEY, SDE, MARKED, X),
        lambda: guidance.classifier_free(MARKED, MARKED, SDE, 2.0),
        lambda: guidance.classifier_guided(MARKED, SDE, lambda x, t: jnp.sum(x)),
        lambda: guidance.rewarded(MARKED, SDE, jnp.sum),
        lambda: guidance.composed(MARKED, [MARKED], [1.0]),
        lambda: guidance.posterior(MARKED, SDE, SEEN, guidance.DPS(), (2,)),
        lambda: particles.Twisted(SDE, MARKED, lambda x, c: jnp.sum(x)),
        lambda: particles.FeynmanKac(SDE, (MARKED,), (2.0,)),
    ],
)
def test_whoever_asks_for_the_score_of_coupled_pairs_is_refused(ask):
    with pytest.raises(sj.InputError, match=r"asks for the score, .* = OptimalTransport has none"):
        ask()


def test_optimal_transport_leaves_the_noise_of_a_batch_as_it_is_but_for_its_order():
    x0, eps = draw(0, 64)
    ours, paired = OptimalTransport().pair(KEY, jnp.asarray(x0), jnp.asarray(eps))
    np.testing.assert_array_equal(np.sort(np.ravel(paired)), np.sort(np.ravel(eps)))
    assert cost(ours, paired) < 0.9 * cost(x0, eps)


def test_independent_noise_stays_where_it_is():
    x0, eps = draw(0)
    for ours, given in zip(Independent().pair(KEY, x0, eps), (x0, eps), strict=True):
        assert ours is given


def test_reflow_draws_its_own_pairs_each_as_often_as_another():
    pairs = Reflow(jnp.arange(3.0), jnp.arange(3.0) + 10)
    x0, eps = pairs.pair(KEY, jnp.zeros(3000), jnp.zeros(3000))
    np.testing.assert_array_equal(eps, x0 + 10)
    counts = np.bincount(np.asarray(x0, int))
    assert np.all(np.abs(counts - 1000) < 4 * np.sqrt(3000 * 2 / 9))


def test_one_reflow_of_a_gaussian_is_straight_its_velocity_known_from_x_alone_and_one_euler_step_exact():
    sde, eps = sj.RectifiedFlow(), np.random.default_rng(0).standard_normal((6, 2))
    x0, noise = Reflow(jnp.asarray(MEAN + np.sqrt(COVARIANCE) * eps), jnp.asarray(eps)).pair(KEY, eps, eps)
    exact = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    def flow(eps, t):  # of independent pairs; it ends at x0
        return sde.alpha(t) * MEAN + jnp.sqrt(sde.alpha(t) ** 2 * COVARIANCE + t**2) * eps

    def straightened(x, t):
        return MEAN + np.sqrt(COVARIANCE) * (x - (1 - t) * MEAN) / ((1 - t) * np.sqrt(COVARIANCE) + t)

    np.testing.assert_allclose(jax.vmap(flow, (0, None))(noise, 0.0), x0, rtol=1e-12)
    for t in (0.2, 0.5, 0.9):
        for x0_i, eps_i in zip(x0, noise, strict=True):
            x, speed = jax.jvp(lambda t, eps_i=eps_i: flow(eps_i, t), (t,), (1.0,))
            np.testing.assert_allclose(speed, (x - exact(x, t)) / t, rtol=1e-9)  # so this is the flow
            pair = x0_i, eps_i, t, FlowMatching(), Mean()
            errors = [matching_error(sde, denoise, *pair) for denoise in (straightened, exact)]
            assert errors[0] < 1e-24
            assert errors[1] > 1e-6
    ends = noise - (noise - straightened(noise, 1.0))  # x + (0 - 1) u at t = 1
    np.testing.assert_allclose(ends, x0, rtol=1e-12)


@pytest.mark.parametrize(
    ("x0", "eps"), [((4, 3), (5, 3)), ((4, 3), (4, 2)), ((4, 2), (4, 2)), ((0, 3), (0, 3))], ids=str
)
def test_pairs_that_do_not_fit_each_other_or_the_batch_are_refused(x0, eps):
    with pytest.raises(sj.InputError, match=r"expected as many of either, each of shape \(3,\)"):
        Reflow(jnp.zeros(x0), jnp.zeros(eps)).pair(KEY, jnp.zeros((2, 3)), jnp.zeros((2, 3)))
