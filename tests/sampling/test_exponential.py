"""Samplers made from the step kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import sde_jax as sj
from sde_jax.sampling import grids
from sde_jax.sampling.singlestep import runge_kutta
from sde_jax.testing import moments

MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
PATHS = [sj.VP(), sj.SubVP(), sj.VE()]


def name(value):
    return type(value).__name__


def one_step(solver, sde, x, t, s, denoise, key=None):
    state = solver.init(x, np.linspace(t, s, 5))
    return solver.step(jax.random.key(0) if key is None else key, x, t, s, state, sde=sde, denoise=denoise)[0]


@pytest.mark.parametrize("sde", [*PATHS, sj.RectifiedFlow()], ids=name)
def test_ancestral_sampling_is_ddim_with_eta_one_and_the_first_order_kernel_with_churn_one(sde):
    denoise, x = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE), jnp.array([0.7, 0.1])
    steps = [
        one_step(solver, sde, x, 0.6, 0.45, denoise)
        for solver in (sj.Ancestral(), sj.DDIM(eta=1.0), sj.DPMSolverMultistep(order=1, churn=1.0))
    ]
    for step in steps[1:]:
        np.testing.assert_allclose(step.x, steps[0].x, rtol=1e-12)
        np.testing.assert_allclose(step.mean, steps[0].mean, rtol=1e-12)


@pytest.mark.parametrize("sde", [*PATHS, sj.RectifiedFlow()], ids=name)
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
    sde, x, t, s = sj.RectifiedFlow(), jnp.array([0.7, 0.1]), 0.6, 0.45
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


@pytest.mark.slow
@pytest.mark.parametrize("solver", EXACT_AT_ONCE, ids=str)
def test_from_no_signal_to_no_noise_a_known_example_is_found_exactly(solver):
    # alpha = 0 at t = 1 and sigma = 0 at t = 0: both steps over which lambda is infinite
    sde, grid = sj.RectifiedFlow(), np.array([1.0, 0.8, 0.6, 0.35, 0.1, 0.0])
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, 0 * COVARIANCE)
    draw = jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, grid, (2,)).x)
    np.testing.assert_allclose(draw(jax.random.split(jax.random.key(0), 3)), np.tile(MEAN, (3, 1)), atol=1e-9)


DIFFERENTIATED = [
    sj.DEIS(order=3),
    *(pytest.param(s, marks=pytest.mark.slow) for s in (sj.UniPC(), sj.EDMHeun(churn=1.0))),
]


@pytest.mark.parametrize("solver", DIFFERENTIATED, ids=name)
def test_samples_are_differentiable_even_through_steps_that_are_infinite_in_log_snr(solver):
    sde, grid, keys = sj.RectifiedFlow(), np.linspace(1.0, 0.0, 8), jax.random.split(jax.random.key(0), 2)

    def size(mean):
        denoise = sj.exact.GaussianDenoiser(sde, mean, 0.3)
        return jnp.sum(sj.sample(keys, solver, sde, denoise, grid, (2,)).x ** 2)

    mean, along, length = jnp.array([0.3, -0.2]), jnp.array([0.6, 0.8]), 1e-5
    above, below = map(jax.jit(size), (mean + length * along, mean - length * along))
    np.testing.assert_allclose(jax.jit(jax.grad(size))(mean) @ along, (above - below) / (2 * length), rtol=1e-6)


@pytest.mark.slow
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
        sj.RectifiedFlow(),
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("eta", [0.3, 0.5])
def test_ddims_noise_is_that_of_its_paper(eta):
    """Song, Meng & Ermon 2021, eq. 16: sigma = eta sqrt((1 - a_s) / (1 - a_t)) sqrt(1 - a_t / a_s), a = alpha^2."""
    sde, t, s = sj.VP(), 0.6, 0.35
    a_t, a_s = (float(sde.alpha(time)) ** 2 for time in (t, s))
    sigma = eta * np.sqrt((1 - a_s) / (1 - a_t) * (1 - a_t / a_s))
    x, x0 = jnp.array([0.7, -1.2]), jnp.array([0.2, 0.1])
    step, _ = sj.DDIM(eta).step(jax.random.key(0), x, t, s, (), sde=sde, denoise=lambda x, t: x0)
    eps = (x - np.sqrt(a_t) * x0) / np.sqrt(1 - a_t)
    np.testing.assert_allclose(step.mean, np.sqrt(a_s) * x0 + np.sqrt(1 - a_s - sigma**2) * eps, rtol=1e-10)
    z = sde.noise(jax.random.key(0), x.shape, x.dtype)
    np.testing.assert_allclose(step.x - step.mean, sigma * z, rtol=1e-10)


KNOWN_ORDERS = [
    (sj.DPMSolverMultistep(order=2), 2),
    (sj.DPMSolverMultistep(order=3), 3),
    (sj.DPMSolverMultistep(order=2, published=True), 2),
    (sj.UniPC(order=1), 2),
    (sj.UniPC(order=2), 3),
    (sj.UniPC(order=2, published=True), 3),
    (sj.DPMSolverSinglestep(order=2), 2),
    (sj.DPMSolverSinglestep(order=3), 3),
]


@pytest.mark.parametrize(
    ("solver", "order"), KNOWN_ORDERS, ids=lambda value: "" if isinstance(value, int) else str(value)
)
def test_orders_are_those_claimed_on_an_estimate_that_is_a_function_of_time_alone(solver, order):
    """x_s = (sigma_s / sigma_t) x_t + sigma_s times the integral of exp(lambda) D(lambda): one quadrature."""
    sde, t, s, x = sj.VP(), 0.9, 0.2, jnp.array([0.7])
    clean = lambda lam: jnp.sin(lam) + 0.3 * lam  # noqa: E731
    first, last = (float(sde.log_snr(time)) for time in (t, s))
    integral = quad(lambda lam: np.exp(lam) * (np.sin(lam) + 0.3 * lam), first, last, epsrel=1e-12)[0]
    exact = float(sde.sigma(s)) * (0.7 / float(sde.sigma(t)) + integral)
    denoise = lambda x, t: clean(sde.log_snr(t)) + 0 * x  # noqa: E731
    errors = []
    for n in (64, 128):
        grid = grids.LogSNR().times(sde, n, s, t)
        found = jax.jit(lambda x, g=grid: sj.transport(jax.random.key(0), solver, sde, denoise, x, g).x)(x)
        errors.append(abs(float(found[0]) - exact))
    assert np.log2(errors[0] / errors[1]) > order - 0.4, errors


@pytest.mark.parametrize("order", [2, 3])
def test_the_stages_of_a_single_step_are_at_equal_distances_in_log_snr(order):
    sde, seen = sj.VP(), []

    def denoise(x, t):
        seen.append(float(sde.log_snr(t)))
        return 0.3 * x

    runge_kutta(jnp.array([0.7]), 0.6, 0.4, jnp.array([0.2]), order, sde=sde, denoise=denoise)
    first, last = (float(sde.log_snr(t)) for t in (0.6, 0.4))
    np.testing.assert_allclose(seen, first + np.arange(1, order) / order * (last - first), rtol=1e-9)
