"""Solvers with a memory inside wrappers that move x."""

import itertools
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.certificate.wrappers import BOUND, NOTHING, REMEMBERING, WRAPPERS, mode_error
from sde_jax.sampling import FixedGridSolver, Step, editing, grids
from sde_jax.sampling.imputation import Imputed

SDE = sj.VP()
MIXTURE = sj.exact.MixtureDenoiser(SDE, [0.5, 0.5], [[-1.5], [1.5]], [0.05, 0.05])
GRID = grids.LogSNR().times(SDE, 15, 1e-3)
FAST = [("Restart", "DPM-Solver++ 2M"), ("RePaint", "DPM-Solver++ 3M, final"), ("corrector, then", "iPNDM-4")]
EVERY = [
    pytest.param(*pair, marks=[] if pair in FAST else pytest.mark.slow)
    for pair in itertools.product(WRAPPERS, REMEMBERING)
]


@pytest.mark.parametrize(("wrapper", "solver"), EVERY)
def test_a_wrapped_solver_forgets_what_belongs_to_another_trajectory(wrapper, solver):
    # with values of before a jump the deviation of a mode was 0.15 to 0.3 too large
    assert mode_error(WRAPPERS[wrapper](REMEMBERING[solver]), SDE) < BOUND


@pytest.mark.parametrize(
    "solver", [sj.UniPC(), sj.Restart(sj.DEIS(), 0.3, 0.5), sj.PredictorCorrector(sj.IPNDM(order=2))], ids=str
)
def test_the_step_after_a_jump_is_the_first_step_of_a_new_trajectory(solver):
    x, y, grid, key = (
        jnp.array([0.4]),
        jnp.array([-1.1]),
        jnp.array([0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.05]),
        jax.random.key(1),
    )
    step = partial(solver.step, sde=SDE, denoise=MIXTURE)
    state = solver.init(x, grid)
    for t, s in itertools.pairwise(grid[:4]):
        (x, *_), state = step(key, x, t, s, state)
    after, _ = step(key, y, 0.4, 0.35, solver.forget(state))
    fresh, _ = step(key, y, 0.4, 0.35, solver.init(y, grid))
    np.testing.assert_allclose(after.x, fresh.x, rtol=1e-12)
    kept, _ = step(key, y, 0.4, 0.35, state)
    assert not np.allclose(kept.x, fresh.x, rtol=1e-3)


def test_the_last_steps_of_a_grid_are_of_lower_order_however_often_it_was_left():
    # back over 4 steps and down again, to the end: the last step is DDIM's
    solver = sj.DPMSolverMultistep(order=2, lower_order_final=True)
    grid, x, key = jnp.array([0.6, 0.5, 0.4, 0.3, 0.2]), jnp.array([0.4]), jax.random.key(1)
    state = solver.init(x, grid)
    for _ in range(3):
        state = solver.forget(state)
        for t, s in itertools.pairwise(grid):
            before = x
            (x, *_), state = solver.step(key, x, t, s, state, sde=SDE, denoise=MIXTURE)
    expected, _ = sj.DDIM().step(key, before, grid[-2], grid[-1], (), sde=SDE, denoise=MIXTURE)
    np.testing.assert_allclose(x, expected.x, rtol=1e-10)


@pytest.mark.parametrize(
    "solver",
    [
        pytest.param(s, marks=pytest.mark.slow if n else [])
        for n, s in enumerate(
            (sj.DEIS(starter=True), sj.UniPC(order=3, starter=True, published=False, lower_order_final=False))
        )
    ],
)
def test_an_example_carried_up_and_down_by_steps_with_a_memory_comes_back(solver):
    grid = grids.LogSNR().times(SDE, 40, 0.01, 0.6)
    up = editing.inverted(SDE, MIXTURE, jnp.array([-1.4]), grid, solver=solver).x
    down = sj.transport(jax.random.key(0), solver, SDE, MIXTURE, up, grid).x
    np.testing.assert_allclose(down, [-1.4], atol=2e-3)


@dataclass(frozen=True)
class Counting(FixedGridSolver):
    """A solver that carries a state and does not say what becomes of it."""

    def init(self, x, grid):
        return jnp.zeros((), int)

    def step(self, key, x, t, s, state, *, sde, denoise):
        return Step(denoise(x, t), denoise(x, t)), state + 1


@pytest.mark.parametrize("wrap", [sj.Restart, sj.PredictorCorrector, lambda solver: Imputed(solver, NOTHING)])
def test_a_memory_of_which_nothing_is_known_is_refused_by_every_wrapper(wrap):
    with pytest.raises(sj.InputError, match=r"Counting carries a state .*expected a method `forget"):
        sj.sample(jax.random.split(jax.random.key(0), 1), wrap(Counting()), SDE, MIXTURE, GRID, (1,))
