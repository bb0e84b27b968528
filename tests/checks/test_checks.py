"""Checks raise on the host, are NaN inside a compiled program, and come out of every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from sde_jax.checks import checked, finite, judged, require
from sde_jax.errors import NumericalError


def root(x):
    """The square root; its check fails below 0."""
    return require(jnp.sqrt(jnp.abs(x)), x >= 0, "negative")


def custom(x):
    """`root`, with derivatives of its own."""
    function = jax.custom_vjp(root)
    function.defvjp(lambda x: (root(x), x), lambda x, g: (g / (2 * jnp.sqrt(jnp.abs(x))),))
    return function(x)


def custom_tangent(x):
    """`root`, with tangents of its own."""
    function = jax.custom_jvp(root)
    function.defjvp(lambda primals, tangents: (root(*primals), tangents[0] / (2 * jnp.sqrt(jnp.abs(primals[0])))))
    return function(x)


PLACES = {
    "alone": root,
    "in jit": jax.jit(root),
    "in a scan": lambda x: jax.lax.scan(lambda c, _: (root(c), c), x, None, length=2)[0],
    "of a scan's row": lambda x: jax.lax.scan(lambda c, y: (c + root(y), c), 0.0, jnp.stack([x, x]), reverse=True)[0],
    "in a loop": lambda x: jax.lax.fori_loop(0, 2, lambda i, c: root(c), x),
    "in a while loop": lambda x: jax.lax.while_loop(lambda c: jnp.abs(c - 1) > 0.3, root, x),
    "in a while loop's condition": lambda x: jax.lax.while_loop(lambda c: root(c) < 1.5, lambda c: c + 1, x),
    "after a while loop": lambda x: root(jax.lax.while_loop(lambda c: jnp.abs(c) > 0.5, lambda c: 0.7 * c, x)),
    "in a branch": lambda x: jax.lax.cond(jnp.abs(x) < 100, root, lambda x: x, x),
    "rematerialised": jax.checkpoint(root),
    "with derivatives of its own": custom,
    "with tangents of its own": custom_tangent,
}
DIFFERENTIABLE = [name for name in PLACES if "while" not in name]


@pytest.mark.parametrize("place", PLACES)
def test_a_check_is_raised_wherever_it_stands(place):
    function, alone = PLACES[place], checked(PLACES[place])
    np.testing.assert_allclose(alone(4.0), jax.jit(function)(4.0), rtol=1e-6)
    with pytest.raises(NumericalError, match="negative"):
        alone(-4.0)
    batch, bad = jnp.array([4.0, 9.0]), jnp.array([4.0, -9.0])
    np.testing.assert_allclose(checked(jax.vmap(function))(batch), jax.vmap(function)(batch), rtol=1e-6)
    with pytest.raises(NumericalError, match="negative"):
        checked(jax.vmap(function))(bad)


@pytest.mark.parametrize("place", [name for name in PLACES if "condition" not in name])
def test_in_a_compiled_program_what_fails_is_nan_and_its_neighbours_are_not(place):
    found = jax.jit(jax.vmap(PLACES[place]))(jnp.array([4.0, -9.0]))
    np.testing.assert_allclose(found[0], PLACES[place](4.0), rtol=1e-6)
    assert np.isnan(found[1])


@pytest.mark.parametrize("place", DIFFERENTIABLE)
def test_derivatives_are_those_without_checks_and_fail_with_the_value(place):
    gradient = jax.grad(lambda x: PLACES[place](x))
    step = 1e-3
    slope = (PLACES[place](4.0 + step) - PLACES[place](4.0 - step)) / (2 * step)
    np.testing.assert_allclose(checked(gradient)(4.0), slope, rtol=2e-3)
    with pytest.raises(NumericalError, match="negative"):
        checked(gradient)(-4.0)
    if "its own" not in place:  # whose derivatives are theirs
        assert np.isnan(jax.jit(gradient)(-4.0))


def test_where_numbers_are_known_a_check_raises_at_once():
    for function in (root, jax.vmap(root), jax.grad(lambda x: root(x).sum())):
        with pytest.raises(NumericalError, match="negative"):
            function(jnp.array([-1.0]) if function is not root else -1.0)


def test_the_first_check_that_failed_is_told():
    both = lambda x, y: finite(require(x, x > 0, "first") + y, "second")  # noqa: E731
    for x, y, message in ((-1.0, jnp.inf, "first"), (1.0, jnp.inf, "second"), (-1.0, 1.0, "first")):
        with pytest.raises(NumericalError, match=message):
            checked(both)(x, y)
    assert checked(both)(1.0, 1.0) == 2.0


def test_whole_numbers_stay_and_are_checked():
    count = lambda n: require(n, n > 0, "none")  # noqa: E731
    assert jax.jit(count)(-1) == -1
    with pytest.raises(NumericalError, match="none"):
        checked(count)(-1)


def test_checks_cross_devices():
    mesh = jax.make_mesh((len(jax.devices()),), ("data",))
    x = jnp.arange(4.0 * mesh.size)
    x = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    np.testing.assert_array_equal(checked(jax.vmap(root))(x), jnp.sqrt(x))
    with pytest.raises(NumericalError, match="negative"):
        checked(jax.vmap(root))(x - 1)


def test_a_checked_function_is_compiled_once_and_is_itself_within_a_transformation():
    traces = []

    def function(x):
        traces.append(None)
        return root(x)

    once = checked(function)
    assert [float(once(x)) for x in (1.0, 4.0, 9.0)] == [1, 2, 3]
    assert len(traces) == 1
    np.testing.assert_array_equal(jax.jit(jax.vmap(once))(jnp.array([4.0, -4.0])), [2, np.nan])


def test_a_program_without_checks_is_left_as_it_is():
    function = lambda x: jax.lax.while_loop(lambda c: c < 5, lambda c: c + 1, x)  # noqa: E731
    result, checks = judged(jax.vmap(function))(jnp.zeros(2))
    np.testing.assert_array_equal(result, 5)
    assert checks.messages == ()
    checks.require()


def test_checks_leave_nothing_for_the_host_in_a_program():
    batch = jax.ShapeDtypeStruct((3,), jnp.float32)
    for place in PLACES.values():
        for function in (jax.vmap(place), judged(jax.vmap(place))):
            program = jax.export.export(jax.jit(function), platforms=("cuda", "tpu"))(batch)
            assert "callback" not in program.mlir_module()


def test_a_place_where_checks_cannot_come_out_is_named():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    split = jax.shard_map(jax.vmap(root), mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data"))
    with pytest.raises(NotImplementedError, match="a check within shard_map"):
        checked(split)(jnp.ones(1))
