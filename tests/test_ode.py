import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import ode
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


METHODS = [
    ode.Tsit5(),
    ode.Dopri5(),
    ode.Dopri8(),
    ode.Bosh3(),
    ode.Heun(),
    ode.Diffrax(diffrax.Ralston()),
    ode.Diffrax(diffrax.Midpoint(), diffrax.PIDController(1e-6, 1e-6, pcoeff=0.2, icoeff=0.4)),
    ode.Diffrax(diffrax.Euler(), diffrax.StepTo(ts=np.linspace(1.0, 0.25, 41))),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method.scheme()).__name__)
def test_evaluations_are_those_the_field_was_called_for_rejected_steps_included(method):
    calls, tolerance = [], sj.Tolerance(1e-4, 1e-4)

    def field(y, t):
        jax.debug.callback(lambda: calls.append(1))
        # the very first step is rejected, and so are those before a jump
        return jnp.where(t < 0.5, 20.0, jnp.where(t > 0.99, 500.0, 0.0)) * y

    solve = jax.jit(lambda y: integrate(field, y, 1.0, jnp.array([0.7, 0.25]), tolerance, method))
    flow = jax.block_until_ready(solve(jnp.ones(2)))
    jax.effects_barrier()
    assert len(calls) == flow.evaluations >= 40


@pytest.mark.parametrize("method", METHODS[:6], ids=lambda method: type(method.scheme()).__name__)
def test_every_method_keeps_to_its_tolerance(method):
    tolerance = sj.Tolerance(1e-6, 1e-8)
    flow = jax.jit(lambda: integrate(lambda y, t: -2 * t * y, jnp.ones(1), 0.0, jnp.ones(1), tolerance, method))()
    np.testing.assert_allclose(flow.values, [[np.exp(-1)]], rtol=1e-5)


@pytest.mark.slow
def test_the_derivative_of_a_solution_is_that_of_its_closed_form_in_both_modes():
    tolerance = sj.Tolerance(1e-9, 1e-9, max_steps=64)

    def solve(rate, differentiable):
        return integrate(
            lambda y, t: rate * y, jnp.ones(()), 0.0, jnp.ones(1), tolerance, differentiable=differentiable
        ).values[0]

    for derivative in (jax.grad(lambda rate: solve(rate, True)), jax.jacfwd(lambda rate: solve(rate, False))):
        np.testing.assert_allclose(jax.jit(derivative)(0.7), np.exp(0.7), rtol=1e-7)


@pytest.mark.parametrize("scheme", [diffrax.Kvaerno5(), diffrax.ImplicitEuler(), "Tsit5"])
def test_a_scheme_whose_evaluations_cannot_be_counted_is_refused(scheme):
    with pytest.raises(sj.InputError, match="its evaluations cannot be counted: expected an explicit"):
        ode.Diffrax(scheme)


def test_a_scheme_for_sdes_is_refused_for_an_ode():
    with pytest.raises(sj.InputError, match=r"ShARK.*expected an explicit Runge-Kutta method for an ODE"):
        integrate(lambda y, t: y, jnp.ones(1), 0.0, jnp.ones(1), TIGHT, ode.ShARK())


@pytest.mark.parametrize(
    "steps",
    [
        diffrax.ConstantStepSize(),
        diffrax.ClipStepSizeController(diffrax.PIDController(1e-3, 1e-3), jump_ts=np.array([0.5])),
        1e-3,
    ],
    ids=lambda steps: type(steps).__name__,
)
def test_a_controller_that_needs_more_than_a_tolerance_is_refused(steps):
    with pytest.raises(sj.InputError, match="expected a diffrax controller that chooses its first step"):
        ode.Diffrax(diffrax.Tsit5(), steps)


@pytest.mark.parametrize(("dtype", "least"), [("float32", "1.2e-06"), ("float64", "2.2e-15")])
def test_a_tolerance_that_the_numbers_do_not_resolve_is_refused(dtype, least):
    def solve(rtol):
        y = jnp.ones(1, dtype)
        return jax.eval_shape(
            lambda: integrate(lambda y, t: -y, y, 0.0, jnp.ones(1, dtype), sj.Tolerance(rtol=rtol)).values
        )

    with pytest.raises(sj.InputError, match=f"{dtype} does not resolve this rtol: expected rtol >= {least}"):
        solve(0.9 * float(least))
    assert solve(1.1 * float(least)).dtype == dtype


def test_examples_of_a_batch_keep_steps_of_their_own():
    solve = jax.jit(jax.vmap(lambda y: integrate(lambda y, t: -y * jnp.abs(y), y, 0.0, jnp.ones(1), sj.Tolerance())))
    pair, alone = solve(jnp.array([[0.1], [300.0]])), solve(jnp.array([[0.1], [0.1]]))
    assert pair.evaluations[0] < pair.evaluations[1]
    assert pair.evaluations[0] == alone.evaluations[0]
    np.testing.assert_array_equal(pair.values[0], alone.values[0])


def test_a_tolerance_out_of_reach_raises_when_the_result_is_computed():
    tolerance = sj.Tolerance(rtol=1e-9, atol=1e-9, max_steps=3)
    solve = lambda y: integrate(lambda y, t: -30 * y, y, 0.0, jnp.ones(1), tolerance).values  # noqa: E731
    for run in (solve, sj.checked(solve)):
        with pytest.raises(
            sj.NumericalError, match=r"did not reach rtol=1e-09, atol=1e-09 within 3 steps: loosen the tolerance"
        ):
            run(jnp.ones(2))
    assert np.all(np.isnan(jax.jit(solve)(jnp.ones(2))))


@pytest.mark.parametrize("setting", [{"rtol": 0.0}, {"atol": -1e-5}, {"max_steps": 0}, {"rtol": float("nan")}])
def test_a_tolerance_that_promises_nothing_is_refused(setting):
    with pytest.raises(sj.InputError, match="expected rtol > 0, atol > 0 and max_steps > 0"):
        sj.Tolerance(**setting)


def test_a_part_keeps_to_the_tolerance_whatever_is_solved_beside_it():
    def solve(y):
        still = lambda y, t: jax.tree.map(lambda part: jnp.cos(20 * t) * part, y)  # noqa: E731
        return integrate(still, y, 0.0, jnp.ones(1), sj.Tolerance(1e-6, 1e-6))

    alone, beside = solve((jnp.ones(()),)), solve((jnp.ones(()), jnp.zeros(10_000)))
    assert beside.evaluations == alone.evaluations
    np.testing.assert_array_equal(beside.values[0], alone.values[0])


def test_the_relative_tolerance_is_of_the_size_of_y_and_the_absolute_one_is_not():
    """Where rtol alone counts steps do not depend on the units of y; where atol alone counts they do."""

    def evaluations(tolerance, scale):
        y = scale * jnp.ones(1)
        return int(integrate(lambda y, t: -2 * t * y, y, 0.0, jnp.ones(1), tolerance).evaluations)

    relative, absolute = sj.Tolerance(rtol=1e-4, atol=1e-30), sj.Tolerance(rtol=1e-5, atol=1e-2)
    assert evaluations(relative, 1e-4) == evaluations(relative, 1.0)
    assert evaluations(absolute, 1e-4) < evaluations(absolute, 1e4)


@pytest.mark.parametrize("method", [ode.Tsit5(), ode.ShARK()], ids=str)
def test_a_controller_keeps_each_tolerance_in_its_own_place(method):
    controller = method.controller(sj.Tolerance(rtol=1e-3, atol=1e-6))
    assert (controller.rtol, controller.atol) == (1e-3, 1e-6)
