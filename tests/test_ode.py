import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.ode import integrate

TIGHT = sj.Tolerance(rtol=1e-10, atol=1e-12)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_a_linear_equation_is_solved_in_both_directions():
    def solve(start, times):
        return integrate(lambda y, t: {"a": -2 * t * y["a"]}, {"a": jnp.array([1.0, 3.0])}, start, times, TIGHT)

    down = jax.jit(lambda: solve(1.0, jnp.array([1.0, 0.5, 0.1])))().values["a"]
    np.testing.assert_allclose(down, np.exp(1 - np.array([1.0, 0.25, 0.01]))[:, None] * [1, 3], rtol=1e-9)
    up = jax.jit(lambda: solve(0.0, jnp.array([1.0])))().values["a"]
    np.testing.assert_allclose(up, np.exp(-1) * np.array([[1, 3]]), rtol=1e-9)


def test_evaluations_are_those_the_field_was_called_for_rejected_steps_included():
    calls = []

    def field(y, t):
        jax.debug.callback(lambda: calls.append(1))
        return jnp.where(t < 0.5, 100.0, 0.0) * y  # a jump, before which steps are rejected

    solve = jax.jit(lambda y: integrate(field, y, 1.0, jnp.array([0.7, 0.3]), sj.Tolerance(1e-6, 1e-6)))
    flow = jax.block_until_ready(solve(jnp.ones(2)))
    jax.effects_barrier()
    assert len(calls) == flow.evaluations > 50


def test_examples_of_a_batch_keep_steps_of_their_own():
    solve = jax.jit(jax.vmap(lambda y: integrate(lambda y, t: -y * jnp.abs(y), y, 0.0, jnp.ones(1), sj.Tolerance())))
    pair, alone = solve(jnp.array([[0.1], [300.0]])), solve(jnp.array([[0.1], [0.1]]))
    assert pair.evaluations[0] < pair.evaluations[1]
    assert pair.evaluations[0] == alone.evaluations[0]
    np.testing.assert_array_equal(pair.values[0], alone.values[0])


def test_a_tolerance_out_of_reach_raises_when_the_result_is_computed():
    tolerance = sj.Tolerance(rtol=1e-9, atol=1e-9, max_steps=3)
    solve = jax.jit(lambda y: integrate(lambda y, t: -30 * y, y, 0.0, jnp.ones(1), tolerance).values)
    with pytest.raises(
        RuntimeError, match=r"did not reach rtol=1e-09, atol=1e-09 within 3 steps: loosen the tolerance"
    ):
        jax.block_until_ready(solve(jnp.ones(2)))


@pytest.mark.parametrize("setting", [{"rtol": 0.0}, {"atol": -1e-5}, {"max_steps": 0}, {"rtol": float("nan")}])
def test_a_tolerance_that_promises_nothing_is_refused(setting):
    with pytest.raises(sj.InputError, match="expected rtol > 0, atol > 0 and max_steps > 0"):
        sj.Tolerance(**setting)
