"""Every sampler at both ends of every path: right there, or refused by name before it runs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.certificate import SAMPLERS, reached
from sde_jax.sampling import DDPMAncestral, EulerSteps, Heun, SMLDAncestral, Tables, grids
from sde_jax.sde import DDPM, SMLD, Product, Schedule, TimeChange

MEAN, VARIANCE = np.array([0.5, -1.0]), np.array([0.5, 0.15])
STRAIGHT = sj.RectifiedFlow()
PATHS = {
    "VP": sj.VP(),
    "SubVP": sj.SubVP(),
    "VE": sj.VE(0.01, 20.0),
    "EDMPath": sj.EDMPath(),
    "Cosine": sj.Cosine(),
    "RectifiedFlow": STRAIGHT,
    "MeanReverting": sj.MeanReverting(0.7, 0.8),
    "DDPM": DDPM(),
    "SMLD": SMLD(),
    "Schedule": Schedule(lambda t: jnp.log1p(-t), jnp.square),
    "TimeChange": TimeChange(STRAIGHT, lambda t: 0.5 * (t + t * t)),
    "Product": Product({"one": (sj.VP(), (1,)), "other": (STRAIGHT, (1,))}),
}
ENDLESS = {name: PATHS[name] for name in ("RectifiedFlow", "Schedule", "TimeChange", "Product")}
"""Those with an alpha of 0 at t = 1, where f and g are infinite."""
WRAPPED = {
    "PC": sj.PredictorCorrector(),
    "PC of DDIM": sj.PredictorCorrector(sj.DDIM()),
    "Restart": sj.Restart(low=0.2, high=0.5, steps=12),
}
KEYS = jax.random.split(jax.random.key(0), 4)


def name(value):
    return value if isinstance(value, str) else type(value).__name__


def exact(sde):
    return sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE)


def draw(solver, sde, grid, denoise=None):
    return sj.sample(KEYS, solver, sde, denoise or exact(sde), grid, (2,)).x


def test_eulers_method_on_the_straight_path_is_ddim_from_noise_alone_to_data():
    grid, flow = sj.grids.uniform(20, end=0.0), sj.EulerMaruyama(churn=0.0)
    np.testing.assert_allclose(draw(flow, STRAIGHT, grid), draw(sj.DDIM(), STRAIGHT, grid), rtol=1e-9)
    point = draw(flow, STRAIGHT, grid, lambda x, t: jnp.asarray(MEAN))
    np.testing.assert_allclose(point, np.tile(MEAN, (4, 1)), rtol=1e-9)


FLOWS = [("EulerMaruyama, churn 0", "RectifiedFlow"), ("Heun", "TimeChange"), ("DPM-Solver++ 2M", "RectifiedFlow")]
EVERY = [
    pytest.param(sampler, path, marks=[] if (sampler, path) in FLOWS else pytest.mark.slow)
    for sampler, path in itertools.product({**SAMPLERS, **WRAPPED}, PATHS)
]


@pytest.mark.parametrize(("sampler", "path"), EVERY)
def test_from_noise_to_data_every_sampler_has_the_moments_of_the_data_or_is_refused(sampler, path):
    error = reached({**SAMPLERS, **WRAPPED}[sampler], PATHS[path])
    assert error is None or error < 0.06


@pytest.mark.parametrize("path", ENDLESS)
@pytest.mark.parametrize(
    "solver",
    [
        sj.ReverseDiffusion(churn=0.0),
        sj.ReverseDiffusion(discretization=EulerSteps(20)),
        sj.EulerMaruyama(),
        sj.PredictorCorrector(sj.EulerMaruyama()),
        sj.Restart(low=0.2, high=1.0),
        sj.ReverseSDE(),
    ],
    ids=name,
)
def test_what_needs_f_and_g_is_refused_where_they_are_infinite(solver, path):
    with pytest.raises(sj.InputError, match=rf" on {path} (from|at) t = 1.*expected"):
        draw(solver, ENDLESS[path], sj.grids.uniform(20))


@pytest.mark.parametrize("solver", [sj.EulerMaruyama(), sj.ReverseDiffusion(churn=0.0)], ids=name)
def test_where_alpha_nearly_vanishes_too_and_from_a_time_before_it_is_not(solver):
    with pytest.raises(sj.InputError, match=r"on Cosine from t = 1, where g\^2 / sigma\^2 is 6\.87e\+04"):
        draw(solver, sj.Cosine(), sj.grids.uniform(100))
    assert np.all(np.isfinite(draw(solver, sj.Cosine(), sj.grids.uniform(100, start=0.99))))


@pytest.mark.parametrize("solver", [sj.EulerMaruyama(churn=0.0), Heun(), sj.ProbabilityFlow()], ids=name)
def test_a_velocity_that_cannot_be_computed_is_refused_by_name(solver):
    # of alpha = exp(log alpha) the derivative is 0 times infinity where alpha is 0
    with pytest.raises(sj.InputError, match="on Schedule at t = 1, where the derivative of alpha or sigma is"):
        draw(solver, PATHS["Schedule"], sj.grids.uniform(20))


@pytest.mark.parametrize("path", [path for path in PATHS if path not in ("VE", "SMLD", "DDPM")])
def test_adaptive_flows_end_and_start_where_there_is_noise(path):
    sde = PATHS[path]
    data = sde.to_data(jnp.asarray(MEAN))
    calls = [
        lambda: draw(sj.ProbabilityFlow(), sde, [0.9, 0.0]),
        lambda: draw(sj.ReverseSDE(), sde, [0.9, 0.0]),
        lambda: sj.encode(sde, exact(sde), data, start=0.0),
        lambda: sj.decode(sde, exact(sde), jnp.asarray(MEAN), start=0.0, end=0.9),
    ]
    for call in calls:
        with pytest.raises(sj.InputError, match=rf"on {path} at t = 0, where sigma is 0.*such as 1e-5"):
            call()


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=[] if p == "RectifiedFlow" else pytest.mark.slow) for p in PATHS if p != "Schedule"]
)
def test_the_flow_carries_every_gaussian_from_one_end_to_the_other(path):
    # number by number: as many standard deviations from the mean at one end as at the other
    sde, tight = PATHS[path], sj.Tolerance(1e-8, 1e-8)
    x = np.array([1.3, -0.4])
    start = 1e-5 if np.any(sde.sigma(0.0) == 0) else 0.0
    ends = [(t, *(np.broadcast_to(f(t), 2) for f in (sde.alpha, sde.variance, sde.offset))) for t in (start, 1.0)]
    (_, *first), (_, *last) = ends
    (a, v, b), (c, w, d) = first, last
    expected = c * MEAN + d + np.sqrt((c**2 * VARIANCE + w) / (a**2 * VARIANCE + v)) * (x - a * MEAN - b)
    latent = sj.encode(sde, exact(sde), sde.to_data(jnp.asarray(x)), tolerance=tight, start=start).x
    np.testing.assert_allclose(latent, expected, rtol=1e-5)
    back = sde.from_data(sj.decode(sde, exact(sde), latent, tolerance=tight, start=start).x)
    np.testing.assert_allclose(back, x, rtol=1e-5)


@pytest.mark.parametrize(
    ("solver", "sde", "message"),
    [
        (DDPMAncestral(DDPM(steps=40)), sj.SubVP(0.1, 5.0), "DDPMAncestral on SubVP: steps by the table of DDPM"),
        (SMLDAncestral(SMLD(steps=20)), STRAIGHT, "SMLDAncestral on RectifiedFlow: steps by the table of SMLD"),
        (
            sj.ReverseDiffusion(discretization=Tables(DDPM(steps=40))),
            sj.VE(),
            "ReverseDiffusion on VE: steps by the table",
        ),
        (
            sj.PredictorCorrector(sj.DDIM(), sj.Langevin(discretization=Tables(SMLD()))),
            sj.VP(),
            "Langevin on VP: steps by",
        ),
        (
            DDPMAncestral(),
            sj.VP(),
            r"20 steps: its own are those of a chain of 1000, .*expected grids.official\(1000\)",
        ),
        (sj.ReverseDiffusion(discretization=EulerSteps(5)), sj.SubVP(), "its own are those of a chain of 5"),
        (sj.PredictorCorrector(corrector_first=False), sj.VP(), "PredictorCorrector on VP corrects at t = 0"),
    ],
)
def test_the_table_of_another_path_and_other_steps_are_refused(solver, sde, message):
    with pytest.raises(sj.InputError, match=message):
        draw(solver, sde, grids.uniform(20, end=0.0))


UPWARDS = [
    sj.DDIM(),
    sj.EulerMaruyama(churn=0.0),
    *(pytest.param(s, marks=pytest.mark.slow) for s in (sj.DEIS(), sj.EDMHeun(), Heun())),
]


@pytest.mark.parametrize("solver", UPWARDS, ids=str)
def test_an_example_carried_up_to_noise_alone_is_the_noise_it_implies(solver):
    # where D is known the flow is straight, and every method exact
    grid, denoise = sj.grids.uniform(8, end=0.05), lambda x, t: jnp.asarray(MEAN)
    x = 0.95 * MEAN + 0.05 * np.array([0.3, -2.0])
    up = sj.sampling.editing.inverted(STRAIGHT, denoise, x, grid, solver=solver).x
    np.testing.assert_allclose(up, [0.3, -2.0], rtol=1e-8)


@pytest.mark.parametrize(
    "solver", [sj.DPMSolverMultistep(), sj.UniPC(), sj.DPMSolverSinglestep(), sj.ReverseDiffusion(churn=0.0)], ids=name
)
def test_what_cannot_carry_x_up_to_noise_alone_is_refused(solver):
    with pytest.raises(sj.InputError, match=r"up to t = 1, where alpha is 0: expected|up a grid: .*expected DDIM"):
        sj.sampling.editing.inverted(STRAIGHT, exact(STRAIGHT), jnp.asarray(MEAN), grids.uniform(8), solver=solver)


def test_a_path_that_is_traced_is_never_silently_wrong():
    def ends(scale):
        sde = TimeChange(STRAIGHT, jax.tree_util.Partial(lambda scale, t: t**scale, scale))
        return draw(sj.ReverseDiffusion(churn=0.0), sde, sj.grids.uniform(20), lambda x, t: 0.5 * x)

    with pytest.raises(sj.NumericalError, match="ReverseDiffusion on TimeChange came to NaN or infinity"):
        sj.checked(ends)(1.0)
    assert np.all(np.isnan(jax.jit(ends)(1.0)))
