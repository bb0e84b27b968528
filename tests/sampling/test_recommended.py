"""Where a number of steps is asked for, the grid is the one that is recommended for the solver on the path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.codec import decode, encode
from sde_jax.sampling import OfficialGrid, Recommended, Sampler, editing, grids, recommended_grid
from sde_jax.sampling.recommended import spacing_of

PATHS = [sj.VP(), sj.SubVP(), sj.VE(), sj.EDMPath(), sj.RectifiedFlow(), sj.Cosine(), sj.MeanReverting(0.7, 0.8)]
SOLVERS = [sj.DDIM(), sj.IPNDM(), sj.UniPC(), sj.Ancestral(), sj.ProbabilityFlow()]
WEIGHTS, MEANS = np.array([0.35, 0.65]), np.array([[-0.8, 0.3], [0.5, -0.2]])
COVARIANCES = np.array([[[0.04, 0.02], [0.02, 0.03]], [[0.06, -0.03], [-0.03, 0.04]]])


def name(value):
    return type(value).__name__


def mixture(sde):
    return sj.exact.MixtureDenoiser(sde, WEIGHTS, MEANS, COVARIANCES)


def keys(n):
    return jax.random.split(jax.random.key(0), n)


@pytest.mark.parametrize("sde", PATHS, ids=name)
@pytest.mark.parametrize("solver", SOLVERS, ids=name)
def test_it_falls_from_noise_to_where_the_solver_can_come(solver, sde):
    for steps in (3, 10):
        times = recommended_grid(solver, sde, steps)
        assert (len(times), times[0]) == (steps + 1, 1.0)
        assert np.all(np.diff(times) < 0)
    noise = float(jnp.exp(-sde.log_snr(times[-1])))
    if isinstance(solver, sj.Ancestral):  # a hundredth of the signal, or what the path has at least
        np.testing.assert_allclose(noise, 0.01, rtol=1e-5)
    else:
        assert times[-1] == (1e-5 if isinstance(solver, sj.ProbabilityFlow) else 0)


def test_one_step_is_the_whole_way():
    np.testing.assert_array_equal(recommended_grid(sj.DDIM(), sj.RectifiedFlow(), 1), [1.0, 0.0])


def test_a_number_of_steps_is_the_recommended_times():
    for solver in (sj.IPNDM(), sj.Ancestral()):
        times, sde = recommended_grid(solver, sj.VP(), 7), sj.VP()
        for given in (7, np.int64(7)):
            x = sj.sample(keys(3), solver, sde, mixture(sde), given, (2,)).x
            np.testing.assert_array_equal(x, sj.sample(keys(3), solver, sde, mixture(sde), times, (2,)).x)
            moved = sj.transport(keys(1)[0], solver, sde, mixture(sde), jnp.ones(2), given).x
            expected = sj.transport(keys(1)[0], solver, sde, mixture(sde), jnp.ones(2), times).x
            np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("grid", [0, -1, 2.5, True, None, "ten"])
def test_what_is_no_number_of_steps_is_refused_by_name(grid):
    with pytest.raises(sj.InputError, match=f"grid = {grid!r}: expected a number of steps, whole and 1 or more"):
        sj.sample(keys(1), sj.DDIM(), sj.VP(), mixture(sj.VP()), grid, (2,))


def test_a_number_serves_inside_jit_where_the_path_has_numbers():
    def drawn(keys, sde):
        return sj.sample(keys, sj.DDIM(), sde, mixture(sde), 5, (2,)).x

    inside = jax.jit(lambda keys: drawn(keys, sj.VP()))(keys(2))
    np.testing.assert_allclose(inside, drawn(keys(2), sj.VP()), rtol=1e-12)
    with pytest.raises(sj.InputError, match="grid = 5 steps on a traced VP: expected a path with numbers"):
        jax.jit(drawn)(keys(2), sj.VP())


def test_an_example_is_carried_up_a_number_of_steps_and_comes_back():
    sde = sj.VP()
    up = editing.inverted(sde, mixture(sde), jnp.array([0.4, 0.1]), 40)
    back = sj.transport(keys(1)[0], sj.DDIM(), sde, mixture(sde), up.x, recommended_grid(sj.DDIM(), sde, 40, 1e-3)).x
    np.testing.assert_allclose(back, [0.4, 0.1], atol=0.03)


def test_equal_steps_of_the_logistic_function_are_those_of_rectified_flow_and_of_karras():
    straight = grids.Logistic(power=1.0, middle=1.0).times(sj.RectifiedFlow(), 9, 0.0)
    np.testing.assert_allclose(straight, np.linspace(1, 0, 10), atol=1e-12)
    sde = sj.EDMPath()
    far = grids.Logistic(power=7.0, middle=1e40).times(sde, 9, 0.01)
    np.testing.assert_allclose(far, grids.Karras().times(sde, 9, 0.01), rtol=1e-4)
    for wrong in ({"power": 0.0}, {"middle": -1.0}):
        with pytest.raises(sj.InputError, match="expected power > 0 and middle > 0"):
            grids.Logistic(**wrong)


def test_of_a_path_only_its_noise_counts():
    """The same rho on all paths that start and end at the same rho."""
    times = recommended_grid(sj.IPNDM(), sj.EDMPath(50.0), 8, 0.01 / 50)
    others = recommended_grid(sj.IPNDM(), sj.VE(0.01, 50.0), 8, 0.0)
    np.testing.assert_allclose(50.0 * times, sj.VE(0.01, 50.0).sigma(jnp.asarray(others)), rtol=1e-6)


def test_solvers_that_wrap_others_have_their_grid():
    inner = spacing_of(sj.UniPC(), 10)
    assert spacing_of(sj.Restart(sj.UniPC()), 10) == spacing_of(sj.PredictorCorrector(sj.UniPC()), 10) == inner
    assert isinstance(spacing_of(sj.sampling.DDPMAncestral(), 1000), OfficialGrid)


def test_a_sampler_without_a_spacing_has_the_recommended_grid_and_an_older_one_keeps_its_own():
    sampler = Sampler(sj.UniPC(), 10)
    np.testing.assert_array_equal(sampler.grid(sj.VP()), recommended_grid(sj.UniPC(), sj.VP(), 10))
    stored = encode(sampler)
    assert stored["spacing"] == {"type": "Recommended"}
    assert decode(Sampler, stored) == (sampler, [])
    older = {**stored, "end": 1e-3, "spacing": {"type": "Uniform"}}
    found, problems = decode(Sampler, older)
    assert not problems
    np.testing.assert_array_equal(found.grid(sj.VP()), np.linspace(1, 1e-3, 11))
    np.testing.assert_array_equal(Sampler(sj.UniPC(), 10, spacing=grids.Uniform()).grid(sj.VP()), found.grid(sj.VP()))
    assert isinstance(sampler.spacing, Recommended)


@pytest.fixture(scope="module")
def distances():
    """Of ten evaluations on VP, from where the exact flow brings 64 prior draws: by solver and grid."""
    with jax.enable_x64(True):
        sde, denoise = sj.VP(), mixture(sj.VP())
        prior = jax.random.normal(jax.random.key(1), (64, 2))

        def carried(solver, times):
            move = lambda x: solver.solve(keys(1)[0], x, jnp.asarray(times), 0, sde=sde, denoise=denoise).x  # noqa: E731
            return jax.jit(jax.vmap(move))(prior)

        exact = carried(sj.ProbabilityFlow(sj.Tolerance(1e-8, 1e-8)), [1.0, 1e-5])
        named = {"Uniform": grids.Uniform(), "Quadratic": grids.Quadratic(), "LogSNR": grids.LogSNR()}
        made = {}
        for solver in (sj.IPNDM(), sj.UniPC(), sj.DPMSolverMultistep()):
            times = {of: spacing.times(sde, 10, 1e-3) for of, spacing in named.items()}
            times["recommended"] = recommended_grid(solver, sde, 10)
            for of, grid in times.items():
                off = carried(solver, grid) - exact
                made[name(solver), of] = float(jnp.sqrt(jnp.mean(jnp.sum(off**2, -1))))
        return made


@pytest.mark.parametrize("solver", ["IPNDM", "UniPC", "DPMSolverMultistep"])
def test_in_ten_steps_it_errs_far_less_than_equal_steps(distances, solver):
    assert distances[solver, "recommended"] < 0.25 * distances[solver, "Uniform"]


def test_in_ten_steps_no_published_formula_errs_less_on_the_grids_of_its_paper(distances):
    """Both exponential solvers have the published weights, and lower order in the last steps."""
    published = [error for (solver, grid), error in distances.items() if solver != "IPNDM" and grid != "recommended"]
    assert distances["IPNDM", "recommended"] < 0.5 * min(published)
