"""The step kernel, and the samplers made from it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import sde_jax as sj
from sde_jax.sampling import grids
from sde_jax.sampling.kernel import exponential_moments, exponential_weights, lagrange_coefficients
from sde_jax.testing import moments

MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
RATES = np.concatenate([-np.geomspace(1e-9, 30, 40), np.geomspace(1e-9, 30, 40)])


@sj.path
class Straight(sj.GaussianPath):
    """Rectified flow, whose lambda is infinite at both ends."""

    def log_alpha(self, t):
        return jnp.log1p(-t)

    def alpha(self, t):
        return 1 - t

    def variance(self, t):
        return jnp.square(t)


def name(value):
    return type(value).__name__


def one_step(solver, sde, x, t, s, denoise, key=None):
    state = solver.init(x, np.linspace(t, s, 5))
    return solver.step(jax.random.key(0) if key is None else key, x, t, s, state, sde=sde, denoise=denoise)[0]


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
        solver = sj.DPMSolverMultistep(order=order, published=True)
        np.testing.assert_allclose(run(solver, sde, denoise, x, grid), published(order), rtol=1e-10)
    two = sj.UniPC(order=1, published=True)
    assert not np.allclose(run(two, sde, denoise, x, grid), run(sj.UniPC(order=1), sde, denoise, x, grid), rtol=1e-6)


@pytest.mark.parametrize("sde", [*PATHS, Straight()], ids=name)
def test_ancestral_sampling_is_ddim_with_eta_one_and_the_first_order_kernel_with_churn_one(sde):
    denoise, x = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE), jnp.array([0.7, 0.1])
    steps = [
        one_step(solver, sde, x, 0.6, 0.45, denoise)
        for solver in (sj.Ancestral(), sj.DDIM(eta=1.0), sj.DPMSolverMultistep(order=1, churn=1.0))
    ]
    for step in steps[1:]:
        np.testing.assert_allclose(step.x, steps[0].x, rtol=1e-12)
        np.testing.assert_allclose(step.mean, steps[0].mean, rtol=1e-12)


@pytest.mark.parametrize("sde", [*PATHS, Straight()], ids=name)
def test_all_first_order_methods_without_noise_are_ddim(sde):
    denoise, x = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE), jnp.array([0.7, 0.1])
    expected = one_step(sj.DDIM(), sde, x, 0.6, 0.45, denoise).x
    for solver in (
        sj.DPMSolverMultistep(order=1),
        sj.DPMSolverSinglestep(order=1),
        sj.DEIS(order=1),
        sj.IPNDM(order=1),
    ):
        np.testing.assert_allclose(one_step(solver, sde, x, 0.6, 0.45, denoise).x, expected, rtol=1e-12)


def test_on_the_straight_path_ddim_is_eulers_method():
    sde, x, t, s = Straight(), jnp.array([0.7, 0.1]), 0.6, 0.45
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    velocity = (x - denoise(x, t)) / t
    np.testing.assert_allclose(one_step(sj.DDIM(), sde, x, t, s, denoise).x, x + (s - t) * velocity, rtol=1e-12)


def test_edms_sampler_is_heuns_method_in_sigma():
    sde, x, t, s = sj.VE(), jnp.array([1.7, 0.1]), 0.6, 0.5
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    first, second = float(sde.sigma(t)), float(sde.sigma(s))
    slope = (x - denoise(x, t)) / first
    ahead = x + (second - first) * slope
    expected = x + (second - first) * 0.5 * (slope + (ahead - denoise(ahead, s)) / second)
    np.testing.assert_allclose(one_step(sj.EDMHeun(), sde, x, t, s, denoise).x, expected, rtol=1e-10)


def test_churn_raises_the_noise_by_the_factor_it_names_and_only_where_asked():
    sde, x, grid, key = sj.VE(), jnp.array([1.7, 0.1]), np.linspace(0.9, 0.1, 5), jax.random.key(3)
    t, solver = 0.6, sj.EDMHeun(churn=0.4, low=0.05, high=10.0, inflation=1.3)  # gamma = 0.4 / 4 steps
    raised, later = solver.raised(key, x, t, solver.init(x, grid), sde)
    np.testing.assert_allclose(sde.sigma(later), 1.1 * sde.sigma(t), rtol=1e-9)
    spread = np.sqrt(sde.sigma(later) ** 2 - sde.sigma(t) ** 2)
    np.testing.assert_allclose(raised, x + 1.3 * spread * jax.random.normal(key, (2,)), rtol=1e-6)
    for outside in (0.1, 0.95):
        same, time = solver.raised(key, x, outside, solver.init(x, grid), sde)
        np.testing.assert_array_equal(same, x)
        assert time == outside


EXACT_AT_ONCE = [
    sj.DDIM(),
    pytest.param(sj.DDIM(eta=0.5), marks=pytest.mark.slow),
    sj.Ancestral(),
    sj.MultistepConsistency(),
    sj.DPMSolverMultistep(order=3),
    pytest.param(sj.DPMSolverMultistep(order=2, churn=1.0), marks=pytest.mark.slow),
    sj.DPMSolverSinglestep(order=3),
    sj.UniPC(order=2),
    sj.SASolver(),
    sj.DEIS(order=3),
    sj.IPNDM(),
    sj.EDMHeun(churn=1.0),
    sj.Restart(low=0.5, high=0.7),
]


@pytest.mark.parametrize("solver", EXACT_AT_ONCE, ids=str)
def test_from_no_signal_to_no_noise_a_known_example_is_found_exactly(solver):
    # alpha = 0 at t = 1 and sigma = 0 at t = 0: both steps over which lambda is infinite
    sde, grid = Straight(), np.array([1.0, 0.8, 0.6, 0.35, 0.1, 0.0])
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, 0 * COVARIANCE)
    draw = jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, grid, (2,)).x)
    np.testing.assert_allclose(draw(jax.random.split(jax.random.key(0), 3)), np.tile(MEAN, (3, 1)), atol=1e-9)


DIFFERENTIATED = [
    sj.DEIS(order=3),
    *(pytest.param(s, marks=pytest.mark.slow) for s in (sj.UniPC(), sj.EDMHeun(churn=1.0))),
]


@pytest.mark.parametrize("solver", DIFFERENTIATED, ids=name)
def test_samples_are_differentiable_even_through_steps_that_are_infinite_in_log_snr(solver):
    sde, grid, keys = Straight(), np.linspace(1.0, 0.0, 8), jax.random.split(jax.random.key(0), 2)

    def size(mean):
        denoise = sj.exact.GaussianDenoiser(sde, mean, 0.3)
        return jnp.sum(sj.sample(keys, solver, sde, denoise, grid, (2,)).x ** 2)

    mean, along, length = jnp.array([0.3, -0.2]), jnp.array([0.6, 0.8]), 1e-5
    above, below = map(jax.jit(size), (mean + length * along, mean - length * along))
    np.testing.assert_allclose(jax.jit(jax.grad(size))(mean) @ along, (above - below) / (2 * length), rtol=1e-6)


@pytest.mark.parametrize(
    ("solver", "calls"),
    [
        (sj.DPMSolverMultistep(order=2), 6),
        (sj.DPMSolverMultistep(order=3), 7),
        (sj.DPMSolverMultistep(order=3, starter=False), 6),
        (sj.DPMSolverSinglestep(order=2), 11),
        (sj.UniPC(order=2), 6),
        (sj.UniPC(order=3), 8),
        (sj.IPNDM(order=4), 10),
        (sj.EDMHeun(), 11),
        (sj.Restart(low=0.35, high=0.6, rounds=3, steps=2), 11 + 3 * 4),
    ],
    ids=str,
)
def test_evaluations_are_counted_as_they_are_made(solver, calls):
    sde, grid, made = (
        Straight(),
        np.array([0.95, 0.8, 0.6, 0.3, 0.2, 0.1, 0.0]),
        [],
    )  # the last step is infinite in lambda

    def denoise(x, t):
        jax.debug.callback(lambda: made.append(1))
        return 0.5 * x

    samples = sj.sample(jax.random.split(jax.random.key(0), 1), solver, sde, denoise, grid, (2,))
    jax.block_until_ready(samples)
    jax.effects_barrier()
    assert samples.evaluations[0] == len(made) == calls


@pytest.mark.parametrize("build", [sj.DPMSolverMultistep, sj.DEIS, sj.IPNDM], ids=lambda build: build.__name__)
def test_a_last_step_of_lower_order_is_ddims(build):
    sde, grid, x, key = sj.VP(), np.linspace(0.9, 0.1, 6), jnp.array([0.7, 0.1]), jax.random.key(0)
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)

    def carried(solver, x, grid):
        return sj.transport(key, solver, sde, denoise, x, grid).x

    before = carried(build(order=2), x, grid[:-1])
    expected = carried(sj.DDIM(), before, grid[-2:])
    np.testing.assert_allclose(carried(build(order=2, lower_order_final=True), x, grid), expected, rtol=1e-12)
    assert build(order=3, lower_order_final=True).convergence_order == 2


def test_a_restart_leaves_the_marginal_at_its_lower_end_as_it_is():
    # exact moments: going up is the forward process, going down a solver of order 3
    sde, t = sj.VP(), 0.2
    start = sj.testing.marginal(sde, MEAN, COVARIANCE, t)
    solver = sj.Restart(sj.DPMSolverSinglestep(order=3), low=0.3, high=0.5, rounds=1, steps=8)
    (reached,) = moments(solver, sde, MEAN, COVARIANCE, [np.array([t, t - 1e-9])], start)
    for ours, theirs in zip(reached, start, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sj.DPMSolverMultistep(order=4), "order 4 does not exist here: expected 1 to 3"),
        (lambda: sj.DPMSolverSinglestep(order=0), "order 0 does not exist here: expected 1 to 3"),
        (lambda: sj.DEIS(order=5), "order 5 does not exist here: expected 1 to 4"),
        (lambda: sj.UniPC(order=4), "order 4 does not exist here: expected 1 to 3"),
        *((lambda wrong=wrong: sj.UniPC(order=wrong), "does not exist here") for wrong in (2.0, True, -1, "2", None)),
        (lambda: sj.Restart(rounds=2.5), "expected 0 < low < high <= 1 and whole numbers rounds >= 1"),
        (lambda: sj.Restart(sj.ProbabilityFlow()), "Restart of ProbabilityFlow.*expected a solver with a fixed grid"),
        (lambda: grids.uniform(2.5), "a grid of 2.5 steps"),
        (lambda: grids.official(2.5), "expected steps >= 2, a whole number"),
        (lambda: sj.SASolver(correctors=2.0), "expected correctors = 0, 2, 3 or 4"),
        (lambda: sj.SASolver(churn=float("inf")), "expected churn >= 0, finite"),
        (lambda: sj.EulerMaruyama(churn=-1.0), "expected churn >= 0, finite"),
        (lambda: sj.ReverseDiffusion(churn=float("nan")), "expected churn >= 0, finite"),
        (lambda: sj.ReverseSDE(churn=-1.0), "expected churn >= 0, finite"),
        (lambda: sj.SASolver(correctors=1), "expected correctors = 0, 2, 3 or 4"),
        (lambda: sj.SASolver(churn=-1.0), "expected churn >= 0"),
        (lambda: sj.DDIM(eta=1.5), "expected 0 <= eta <= 1"),
        (lambda: sj.EDMHeun(churn=-1.0), "expected churn >= 0"),
        (lambda: sj.EDMHeun(low=3.0, high=2.0), "0 <= low <= high"),
        (lambda: sj.Restart(low=0.5, high=0.4), "expected 0 < low < high <= 1"),
        (lambda: grids.Karras(power=0.0), "expected power > 0"),
        (lambda: grids.LogSNR(smallest=0.0), "expected 0 < smallest < largest"),
    ],
)
def test_settings_out_of_range_are_refused(build, message):
    with pytest.raises(sj.InputError, match=message):
        build()


def test_more_history_than_steps_and_a_restart_that_never_comes_are_refused():
    sde, keys = sj.VP(), jax.random.split(jax.random.key(0), 1)
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    with pytest.raises(sj.InputError, match="on a grid of 2 steps: expected at least 3"):
        sj.sample(keys, sj.DPMSolverMultistep(order=3), sde, denoise, grids.uniform(2), (2,))
    with pytest.raises(sj.InputError, match=r"expected a step that starts at or below low = 0.1"):
        sj.sample(keys, sj.Restart(low=0.1), sde, denoise, grids.uniform(2), (2,))


@pytest.mark.parametrize("sde", [sj.VP(), sj.VE(), Straight()], ids=name)
@pytest.mark.parametrize("spacing", [grids.Uniform(), grids.Quadratic(), grids.LogSNR(), grids.Karras()], ids=name)
def test_every_grid_falls_from_the_start_to_the_end_on_every_path(sde, spacing):
    for end in (1e-3, 0.0):
        times = spacing.times(sde, 12, end)
        assert (len(times), times[0], times[-1]) == (13, 1.0, end)
        assert np.all(np.diff(times) < 0)
    np.testing.assert_allclose(spacing.times(sde, 5, 0.2, 0.8)[[0, -1]], [0.8, 0.2])


def test_grids_are_even_in_what_they_are_even_in():
    sde = sj.VE()
    rho = jax.vmap(lambda t: sde.sigma(t) / sde.alpha(t))
    for spacing, even in (
        (grids.Quadratic(), lambda t: np.sqrt(t)),
        (grids.LogSNR(), lambda t: np.log(rho(t))),
        (grids.Karras(), lambda t: rho(t) ** (1 / 7)),
        (grids.Karras(power=1.0), rho),
    ):
        np.testing.assert_allclose(np.diff(even(spacing.times(sde, 9, 0.1)), 2), 0, atol=1e-9)


def test_a_grid_with_too_few_steps_for_its_ends_is_refused():
    with pytest.raises(sj.InputError, match="in 2 steps: expected 3 or more"):
        grids.Karras().times(Straight(), 2, 0.0)
