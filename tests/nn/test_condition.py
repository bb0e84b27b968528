import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import MLP, Channels, ClassLabel, DiT, Vector, functional

SHAPE = (4, 4, 3)
X = jax.random.normal(jax.random.key(1), SHAPE)
NOISE = jnp.asarray(3.0)
GIVEN = {
    ClassLabel(4): jnp.asarray(2),
    Vector(3): jnp.array([0.5, -1.0, 2.0]),
    Channels(2): jax.random.normal(jax.random.key(2), (4, 4, 2)),
}
NETWORKS = {
    "mlp": lambda condition: MLP(width=16, depth=1, condition=condition),
    "dit": lambda condition: DiT(width=16, depth=1, heads=2, condition=condition),
}


@pytest.fixture(scope="module", params=[(n, c) for n in NETWORKS for c in GIVEN], ids=lambda p: f"{p[0]}-{p[1]}")
def network(request):
    name, condition = request.param
    apply, params = functional(NETWORKS[name](condition).build(SHAPE, rngs=nnx.Rngs(0)))
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    return jax.jit(lambda c, params=params: apply(params, X, NOISE, condition=c)), condition


def test_the_null_token_is_no_condition_and_can_be_chosen_within_a_program(network):
    run, condition = network
    given, null = GIVEN[condition], condition.null(SHAPE)
    nothing, something = run(None), run(given)
    assert np.all(np.isfinite(nothing))
    assert not np.allclose(nothing, something)
    np.testing.assert_allclose(run(null), nothing, atol=1e-6)
    for drop, expected in ((True, nothing), (False, something)):
        np.testing.assert_allclose(run(jnp.where(drop, null, given)), expected, atol=1e-6)


@pytest.mark.slow
def test_what_is_partly_given_is_heard_as_far_as_it_is_given(network):
    run, condition = network
    if isinstance(condition, ClassLabel):
        outputs = np.stack([run(jnp.asarray(k)) for k in range(5)])
        assert len(np.unique(outputs.reshape(5, -1).round(5), axis=0)) == 5
        return
    given = GIVEN[condition]
    part = given.at[0].set(jnp.nan)
    heard = run(part)
    assert np.all(np.isfinite(heard))
    assert not np.allclose(heard, run(given))
    assert not np.allclose(heard, run(None))
    assert not np.allclose(heard, run(jnp.nan_to_num(part)))  # nothing is not zero


@pytest.mark.parametrize(
    "wrong",
    [jnp.ones(5), jnp.ones((2, 3)), jnp.asarray(True), "a cat", [1]],
    ids=["size", "batch", "kind", "text", "list"],
)
def test_a_condition_of_another_shape_or_kind_is_refused(wrong):
    for condition in GIVEN:
        apply, params = functional(MLP(width=8, depth=1, condition=condition).build(SHAPE, rngs=nnx.Rngs(0)))
        with pytest.raises(InputError, match="expected shape"):
            apply(params, X, NOISE, condition=wrong)


def test_a_condition_is_refused_by_a_network_without_one():
    apply, params = functional(MLP(width=8, depth=1).build(SHAPE, rngs=nnx.Rngs(0)))
    with pytest.raises(InputError, match="a network without one"):
        apply(params, X, NOISE, condition=jnp.asarray(1))


@pytest.mark.parametrize("kind", [ClassLabel, Vector, Channels])
def test_a_condition_of_nothing_is_refused(kind):
    for wrong in (0, 1.5, "two", None):
        with pytest.raises(InputError, match=">= 1, a whole number"):
            kind(wrong)
