from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import MLP, Channels, ClassLabel, Conditions, DiT, NCSNpp, Unconditional, Vector, functional

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


PARTS = {"label": ClassLabel(4), "augmentation": Vector(3), "mask": Channels(2)}
TOGETHER = {name: GIVEN[part] for name, part in PARTS.items()}
UNET = NCSNpp(features=4, channel_multipliers=(1,), blocks_per_level=1, attention_resolutions=())


EVERYWHERE = [
    pytest.param(NETWORKS["mlp"], id="mlp"),
    pytest.param(NETWORKS["dit"], id="dit", marks=pytest.mark.slow),
    pytest.param(lambda condition: replace(UNET, condition=condition), id="unet", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("make", EVERYWHERE)
def test_of_several_conditions_each_is_heard_and_can_be_dropped_without_the_others(make):
    kind = Conditions(PARTS)
    apply, params = functional(make(kind).build(SHAPE, rngs=nnx.Rngs(0)))
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    run = jax.jit(jax.vmap(lambda c: apply(params, X, NOISE, condition=c)))
    null = kind.null(SHAPE)
    cases = [TOGETHER, null, *({**TOGETHER, name: null[name]} for name in PARTS)]
    outputs = run(jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *cases))
    assert np.isfinite(outputs).all()
    assert len(np.unique(outputs.reshape(5, -1).round(4), axis=0)) == 5


def test_what_several_add_is_the_sum_of_what_each_adds_and_what_is_not_given_is_null():
    kind = Conditions(PARTS)
    part: Any = kind.conditioning(SHAPE, 6, rngs=nnx.Rngs(0))
    added = {name: inner.embed(TOGETHER[name]) for name, inner in part.parts.items()}
    np.testing.assert_allclose(part.embed(TOGETHER), added["label"] + added["augmentation"], rtol=1e-6)
    assert not np.allclose(added["label"], added["augmentation"])
    np.testing.assert_array_equal(part.join(X, TOGETHER), part.parts["mask"].join(X, TOGETHER["mask"]))
    null, some = kind.null(SHAPE), {"augmentation": TOGETHER["augmentation"], "mask": None}
    for given, same in ((None, null), (some, {**null, "augmentation": some["augmentation"]})):
        np.testing.assert_array_equal(part.embed(given), part.embed(same))
        np.testing.assert_array_equal(part.join(X, given), part.join(X, same))
    assert (part.channels, part.embeds) == (4, True)


def test_facts_become_conditions_and_what_is_not_known_is_null():
    facts = {"label": jnp.arange(-1, 3), "augmentation": jnp.ones((4, 3)), "other": jnp.ones(4)}
    of = lambda kind: jax.vmap(lambda f: kind.of(f, SHAPE))(facts)  # noqa: E731
    assert of(ClassLabel(3)).tolist() == [3, 0, 1, 2]
    np.testing.assert_array_equal(of(Vector(3)), facts["augmentation"])
    both = of(Conditions({"augmentation": Vector(3), "other": ClassLabel(2), "mask": Channels(1)}))
    np.testing.assert_array_equal(both["augmentation"], facts["augmentation"])
    np.testing.assert_array_equal(both["other"], np.ones(4))
    assert np.isnan(both["mask"]).all()
    assert both["mask"].shape == (4, 4, 4, 1)
    assert ClassLabel(3).of({}, SHAPE) == 3
    assert np.isnan(Vector(2).of({}, SHAPE)).all()
    np.testing.assert_array_equal(Channels(3).of({"channels": X}, SHAPE), X)
    assert Unconditional().of(facts, SHAPE) is None
    assert [list(kind.hears()) for kind in (ClassLabel(3), Vector(1), Channels(1), Unconditional())] == [
        ["label"],
        ["augmentation"],
        ["channels"],
        [],
    ]


@pytest.mark.parametrize("parts", [{}, {"a": Unconditional()}, {"a": Conditions(PARTS)}, {"a": 3}], ids=str)
def test_conditions_of_nothing_that_is_heard_are_refused(parts):
    with pytest.raises(InputError, match="each by a name"):
        Conditions(parts)


@pytest.mark.parametrize("wrong", [jnp.asarray(2), {"lable": jnp.asarray(2)}, {"label": jnp.ones(2)}], ids=str)
def test_what_is_no_mapping_of_the_conditions_is_refused(wrong):
    apply, params = functional(MLP(width=8, depth=1, condition=Conditions(PARTS)).build(SHAPE, rngs=nnx.Rngs(0)))
    with pytest.raises(InputError, match=r"expected a mapping of augmentation, label, mask|expected shape"):
        apply(params, X, NOISE, condition=wrong)
