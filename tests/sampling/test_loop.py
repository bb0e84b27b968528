import os
import subprocess
import sys
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import transport
from sde_jax.sampling.grids import frames_of
from sde_jax.sampling.solver import Step

SDE = sj.VP()
DENOISE = sj.exact.GaussianDenoiser(SDE, np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]]))
PC = sj.PredictorCorrector(corrector=sj.Langevin(steps=2))
ROUGH = sj.ReverseSDE(tolerance=sj.Tolerance(rtol=0.1, atol=0.1))


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def name(value):
    return type(value).__name__


ALONE = [PC, sj.ProbabilityFlow(), sj.EDMHeun(churn=2.0)]
SLOWLY = [pytest.param(solver, marks=pytest.mark.slow) for solver in (ROUGH, sj.UniPC(order=3), sj.Restart())]


@pytest.mark.slow
@pytest.mark.parametrize("solver", [*ALONE, *SLOWLY], ids=name)
def test_a_sample_depends_on_its_key_alone(solver):
    draw = jax.jit(lambda keys: sj.sample(keys, solver, SDE, DENOISE, sj.grids.uniform(20), (2,)))
    three = draw(keys(3))
    np.testing.assert_allclose(draw(keys(3)[1:2]).x, three.x[1:2], rtol=1e-12)
    np.testing.assert_array_equal(draw(keys(3)[::-1]).x, three.x[::-1])
    np.testing.assert_array_equal(draw(keys(3)[::-1]).evaluations, three.evaluations[::-1])


@pytest.mark.slow
def test_samples_do_not_depend_on_the_number_of_devices():
    program = """
import jax, numpy as np, sde_jax as sj
from jax.sharding import AxisType, NamedSharding, PartitionSpec
jax.config.update("jax_enable_x64", True)
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
sde = sj.VP()
denoise = sj.exact.GaussianDenoiser(sde, 0.3, 0.25)
keys = jax.random.split(jax.random.key(0), 16)
for solver in (sj.PredictorCorrector(), sj.ProbabilityFlow(), sj.UniPC(order=3), sj.EDMHeun(churn=2.0)):
    draw = jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, sj.grids.uniform(10), (3,)).x)
    spread = draw(jax.device_put(keys, NamedSharding(mesh, PartitionSpec("data"))))
    assert len(spread.sharding.device_set) == 8, spread.sharding
    np.testing.assert_allclose(spread, draw(keys), rtol=1e-9, atol=1e-12)
"""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=900)


@pytest.mark.parametrize("solver", [sj.EulerMaruyama(), PC, sj.ProbabilityFlow(), ROUGH], ids=name)
def test_evaluations_are_the_calls_of_the_denoiser(solver):
    calls = []

    def counted(x, t):
        jax.debug.callback(lambda: calls.append(1))
        return DENOISE(x, t)

    draw = jax.jit(lambda keys: sj.sample(keys, solver, SDE, counted, sj.grids.uniform(7), (2,), frames=3))
    samples = jax.block_until_ready(draw(keys(1)))
    jax.effects_barrier()
    assert len(calls) == samples.evaluations[0] >= 7


def test_the_last_noise_is_kept_or_left_out_as_asked():
    x, grid = jnp.array([0.3, -0.2]), jnp.array([0.6, 0.4])
    for solver in (sj.Ancestral(), sj.PredictorCorrector()):
        noisy = type(solver)(noise_free=False)
        step, _ = solver.step(
            jax.random.fold_in(keys(1)[0], 0), x, *grid, solver.init(x, grid), sde=SDE, denoise=DENOISE
        )
        for form, expected in ((solver, step.mean), (noisy, step.x)):
            solution = form.solve(keys(1)[0], x, grid, 1, sde=SDE, denoise=DENOISE)
            np.testing.assert_allclose(solution.x, expected, rtol=1e-12)
            np.testing.assert_array_equal(solution.trajectory[0], solution.x)
        assert not np.allclose(step.x, step.mean)


@pytest.mark.parametrize(
    "solver", [sj.ReverseDiffusion(), *(pytest.param(s, marks=pytest.mark.slow) for s in (sj.ProbabilityFlow(), ROUGH))]
)
def test_the_trajectory_runs_from_the_prior_to_the_sample(solver):
    def draw(frames):
        return jax.jit(lambda keys: sj.sample(keys, solver, SDE, DENOISE, sj.grids.uniform(4), (2,), frames))(keys(2))

    whole, nothing = draw(5), draw(0)
    assert whole.trajectory.shape == (2, 5, 2)
    assert nothing.trajectory.shape == (2, 0, 2)
    np.testing.assert_allclose(nothing.x, whole.x, rtol=1e-9)
    np.testing.assert_array_equal(whole.trajectory[:, -1], whole.x)
    prior = jax.vmap(lambda key: SDE.prior_sample(jax.random.split(key)[0], (2,)))(keys(2))
    np.testing.assert_allclose(whole.trajectory[:, 0], prior, rtol=1e-12)


def test_an_offset_moves_every_frame_of_a_trajectory_by_its_own_value():
    """x_t + b(t) with the shifted denoiser is the plain process, moved; a frame at t by b(t)."""
    shift, grid, x = np.array([3.0, -2.0]), sj.grids.uniform(4, 0.1), jnp.array([0.4, 1.0])
    moved = sj.Shifted(SDE, lambda t: t**2 * shift)
    solver = sj.DDIM(1.0)
    carried = [
        transport(
            keys(1)[0], solver, sde, lambda x, t, sde=sde: 0.3 * (x - sde.offset(t)), x + sde.offset(1.0), grid, 5
        )
        for sde in (SDE, moved)
    ]
    np.testing.assert_allclose(
        carried[1].trajectory - carried[0].trajectory, np.square(grid)[:, None] * shift, atol=1e-12
    )
    np.testing.assert_allclose(carried[1].x - carried[0].x, 0.01 * shift, atol=1e-12)


def test_noise_of_the_steps_knows_nothing_of_the_start_of_other_steps_and_of_the_corrector():
    """With x_0 = 0 known and no noise left over, a chain's draws can be read off its trajectory."""
    steps, n = sj.grids.uniform(3, 0.2), 2000
    clean = lambda x, t: 0 * x  # noqa: E731
    path = jax.jit(lambda keys: sj.sample(keys, sj.sampling.MultistepConsistency(), SDE, clean, steps, (1,), 4))(
        keys(n)
    )
    drawn = np.asarray(path.trajectory[:, :-1, 0] / SDE.sigma(steps[:-1]))
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 4.5 / np.sqrt(n)
    both = sj.PredictorCorrector(sj.sampling.MultistepConsistency(noise_free=False), Fresh(), corrector_first=False)
    start, s = jnp.zeros(1), 0.5
    step = jax.vmap(lambda key: both.step(key, start, 1.0, s, (), sde=SDE, denoise=clean)[0].x)(keys(n))
    # the predictor's draw and the corrector's: of independent ones variances add
    np.testing.assert_allclose(np.var(step), 2 * float(SDE.variance(s)), rtol=4.5 * np.sqrt(2 / n))


@dataclass(frozen=True)
class Fresh:
    """Adds noise of the deviation at hand."""

    def correct(self, key, x, time, interval, *, sde, denoise):
        y = x + sde.sigma(time) * sde.noise(key, x.shape, x.dtype)
        return Step(y, y)


def test_the_frames_are_spread_evenly_and_end_with_the_last():
    np.testing.assert_array_equal(frames_of(4, 5), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(frames_of(100, 5), [0, 25, 50, 75, 100])
    np.testing.assert_array_equal(frames_of(100, 1), [100])
    assert frames_of(100, 0).size == 0


@pytest.mark.parametrize("solver", [sj.EulerMaruyama(), sj.DPMSolverMultistep(order=3)], ids=name)
def test_one_compilation_serves_every_key_condition_and_parameter(solver):
    traces = []

    @jax.jit
    def draw(keys, sde, scale, condition):
        traces.append(1)
        grid = sj.grids.uniform(5, end=0.1)
        return sj.sample(keys, solver, sde, lambda x, t: condition + scale * jnp.tanh(x), grid, (2,)).x

    settings = keys(2), sj.VP(), jnp.asarray(0.1), jnp.zeros(2)
    others = keys(2, seed=1), sj.VP(beta_min=0.2, beta_max=10.0), jnp.asarray(0.3), jnp.ones(2)
    first = draw(*settings)
    for n, other in enumerate(others):
        assert not np.allclose(first, draw(*settings[:n], other, *settings[n + 1 :]))
    np.testing.assert_array_equal(draw(*settings), first)
    assert len(traces) == 1


def test_a_grid_may_be_an_argument_of_a_compiled_function():
    def draw(grid):
        return sj.sample(keys(2), sj.Ancestral(), SDE, DENOISE, grid, (2,)).x

    grid = sj.grids.uniform(3)
    np.testing.assert_allclose(jax.jit(draw)(grid), draw(grid), rtol=1e-12)


def test_the_uniform_grid_falls_in_equal_steps():
    np.testing.assert_allclose(sj.grids.uniform(4, end=0.2), [1.0, 0.8, 0.6, 0.4, 0.2])
    assert sj.grids.uniform(1000)[-1] == 1e-3


@pytest.mark.parametrize(("steps", "end"), [(0, 1e-3), (10, 1.0), (10, -0.1), (10, float("nan"))])
def test_a_uniform_grid_without_steps_is_refused(steps, end):
    with pytest.raises(sj.InputError, match="expected steps >= 1 and 0 <= end < start <= 1"):
        sj.grids.uniform(steps, end)


@pytest.mark.parametrize(
    "grid",
    [
        [0.0, 1.0],
        [1.0, 0.5, 0.5],
        [1.1, 0.5],
        [1.0, -0.1],
        [1.0, float("nan"), 0.1],
        [1.0],
        [[1.0, 0.5]],
        [1, 0],
    ],
    ids=str,
)
def test_a_grid_that_does_not_fall_within_the_unit_interval_is_refused(grid):
    with pytest.raises(sj.InputError, match=r"grid .*expected"):
        sj.sample(keys(1), sj.EulerMaruyama(), SDE, DENOISE, np.array(grid), (2,))


@pytest.mark.parametrize(
    "denoise",
    [lambda x, t: x[:1], lambda x, t: x[None], lambda x, t: x.astype(jnp.float32), lambda x, t: (x, x)],
    ids=["shorter", "batched", "float32", "pair"],
)
def test_a_denoiser_that_changes_shape_or_type_is_refused(denoise):
    with pytest.raises(sj.InputError, match="expected the same shape and type"):
        sj.sample(keys(1), sj.EulerMaruyama(), SDE, denoise, sj.grids.uniform(3), (2,))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 5}, "frames = 5 of a grid of 4 times"),
        ({"frames": -1}, "frames = -1"),
        ({"frames": 2.0}, "frames = 2.0"),
        ({"keys": jax.random.key(0)}, r"keys of shape \(\): expected \[n\], one key a sample"),
        ({"keys": jax.random.PRNGKey(0)}, r"keys of shape \(2,\): expected \[n\], one key a sample"),
        ({"keys": 0}, "keys = 0: expected random keys"),
        ({"keys": keys(0)}, "no keys: expected one or more"),
        ({"solver": sj.EulerMaruyama}, r"expected a solver, such as DDIM\(\)"),
        ({"solver": None}, "solver = None"),
        ({"sde": "vp"}, r"sde = 'vp': expected a path, such as VP\(\)"),
        ({"sde": sj.VP}, "expected a path"),
        ({"denoise": None}, "the denoiser is None: expected a function"),
        ({"shape": 2}, "shape = 2: expected"),
        ({"shape": (2.0,)}, r"shape = \(2.0,\): expected"),
        ({"shape": (-1,)}, r"shape = \(-1,\): expected"),
        ({"grid": [[1.0], [0.5, 0.1]]}, "expected two or more times, floats"),
        ({"grid": np.array([1, 1 - 1e-18, 0.5], np.longdouble)}, "expected times that fall strictly"),
    ],
)
def test_what_cannot_be_sampled_is_refused(wrong, message):
    right = {"keys": keys(1), "solver": sj.DDIM(), "sde": SDE, "denoise": DENOISE, "grid": sj.grids.uniform(3)}
    with pytest.raises(sj.InputError, match=message):
        sj.sample(**(right | {"shape": (2,)} | wrong))


def test_a_sample_is_drawn_by_the_denoiser_of_what_is_given_for_it():
    given, grid = {"mean": jnp.array([0.5, -2.0, 4.0])}, sj.grids.uniform(4, end=0.1)
    towards = lambda given: lambda x, t: given["mean"] + 0.1 * jnp.tanh(x)  # noqa: E731
    together = sj.sampling.sample_given(keys(3), given, sj.DDIM(), SDE, towards, grid, (2,), 2)
    for n, mean in enumerate(given["mean"]):
        alone = sj.sample(keys(3)[n : n + 1], sj.DDIM(), SDE, towards({"mean": mean}), grid, (2,), 2)
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[n], theirs[0], rtol=1e-12)
    with pytest.raises(sj.InputError, match=r"shapes \[\(3,\)\] for 2 keys: expected one each"):
        sj.sampling.sample_given(keys(2), given, sj.DDIM(), SDE, towards, grid, (2,))


@pytest.mark.parametrize("x", [jnp.ones(2, int), jnp.ones(2, bool), jnp.ones(2, complex), "abc", None], ids=str)
def test_a_state_that_is_no_array_of_floating_point_numbers_is_refused(x):
    calls = [
        lambda: sj.transport(keys(1)[0], sj.DDIM(), SDE, DENOISE, x, sj.grids.uniform(3)),
        lambda: sj.encode(SDE, DENOISE, x),
        lambda: sj.decode(SDE, DENOISE, x),
        lambda: sj.log_likelihood(keys(1)[0], SDE, DENOISE, x),
        lambda: sj.elbo(keys(1)[0], SDE, DENOISE, x),
        lambda: SDE.perturb(keys(1)[0], x, 0.5),
        lambda: SDE.prior_log_prob(x),
    ]
    for call in calls:
        with pytest.raises(sj.InputError, match="floating-point numbers"):
            call()


@pytest.mark.parametrize("shape", [(), (2,), (4, 2)])
def test_a_state_that_the_path_does_not_fit_is_refused_with_both_shapes(shape):
    sde, x = sj.MeanReverting(jnp.ones(3)), jnp.ones(shape)
    calls = [
        lambda: sj.transport(keys(1)[0], sj.DDIM(), sde, lambda x, t: x, x, sj.grids.uniform(3)),
        lambda: sj.encode(sde, lambda x, t: x, x),
        lambda: sj.decode(sde, lambda x, t: x, x),
        lambda: sj.log_likelihood(keys(1)[0], sde, lambda x, t: x, x),
        lambda: sj.elbo(keys(1)[0], sde, lambda x, t: x, x),
    ]
    for call in calls:
        with pytest.raises(sj.InputError, match=r"offset of shape \(3,\) for x of shape"):
            call()


def test_half_precision_and_lists_are_computed_as_arrays_of_the_default_precision():
    grid = sj.grids.uniform(3)
    exact = sj.transport(keys(1)[0], sj.DDIM(), SDE, DENOISE, jnp.ones(2), grid).x
    for x in (jnp.ones(2, jnp.float16), jnp.ones(2, jnp.bfloat16), [1.0, 1.0]):
        ours = sj.transport(keys(1)[0], sj.DDIM(), SDE, DENOISE, x, grid).x
        assert ours.dtype == exact.dtype
        np.testing.assert_array_equal(ours, exact)


@pytest.mark.parametrize("corrector", [None, sj.Langevin, sj.DDIM()], ids=str)
def test_what_does_not_correct_is_refused(corrector):
    with pytest.raises(sj.InputError, match="expected a corrector"):
        sj.PredictorCorrector(corrector=corrector)
