import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import (
    MLP,
    ClassLabel,
    Compute,
    KeepAll,
    KeepBlocks,
    KeepProducts,
    NCSNpp,
    abstract,
    activations,
    functional,
    initialized,
    restored,
)
from sde_jax.nn.forward import Forward

UNET = NCSNpp(features=8, channel_multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,), init_scale=1.0)
SMALLEST = dataclasses.replace(UNET, channel_multipliers=(1,), attention_resolutions=())
SHAPE = (8, 8, 3)
X = jax.random.normal(jax.random.key(1), SHAPE)
NOISE = jnp.asarray(37.5)


@pytest.fixture(scope="module")
def model():
    return dataclasses.replace(UNET, dropout=0.1).build(SHAPE, rngs=nnx.Rngs(0))


def relative_error(ours, theirs):
    return float(jnp.abs(ours - theirs).max() / jnp.abs(theirs).max())


def test_activations_are_named_and_leave_the_output_bitwise_unchanged(model):
    plain, params = functional(model)
    probed, _ = activations(model)
    y, named = jax.jit(probed)(params, X, NOISE)
    np.testing.assert_array_equal(y, jax.jit(plain)(params, X, NOISE))
    assert sorted(named) == [
        "decoder.0.0",
        "decoder.0.1",
        "decoder.0.up",
        "decoder.1.0",
        "decoder.1.1",
        "encoder.0.0",
        "encoder.0.down",
        "encoder.1.0",
        "middle.0",
        "middle.1",
    ]
    assert named["encoder.0.down"].shape == (4, 4, 8)
    assert named["decoder.1.1"].shape == (8, 8, 8)


def gradients(model, compute, key=None):
    apply, params = functional(model, compute)
    return jax.jit(jax.value_and_grad(lambda p: jnp.sum(apply(p, X, NOISE, key=key) ** 2)))(params)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [KeepProducts(), KeepBlocks()])
def test_rematerialization_changes_neither_values_nor_gradients_nor_dropout(keep):
    key, model = jax.random.key(3), dataclasses.replace(SMALLEST, dropout=0.1).build(SHAPE, rngs=nnx.Rngs(0))
    value, gradient = gradients(model, Compute(), key)
    again, regained = gradients(model, Compute(rematerialization=keep), key)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    worst = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), regained, gradient)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    assert max(jax.tree.leaves(worst)) < 1e-5 * scale


def kept_bytes(compute):
    """What the forward evaluation leaves for the backward one, beyond the parameters."""
    apply, params = abstract(UNET, SHAPE, compute)
    x = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    backward = jax.eval_shape(lambda p, x: jax.vjp(lambda p: apply(p, x, NOISE), p)[1], params, x)
    size = lambda tree: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))  # noqa: E731
    return size(backward) - size(params)


def test_the_less_is_kept_the_less_memory_waits_for_the_backward_evaluation():
    everything, products, blocks = (
        kept_bytes(Compute(rematerialization=k())) for k in (KeepAll, KeepProducts, KeepBlocks)
    )
    assert blocks < 0.7 * products < 0.5 * everything


@pytest.mark.parametrize("architecture", [SMALLEST, MLP(width=32, depth=2)], ids=["unet", "mlp"])
def test_bfloat16_is_within_two_percent_of_float32_and_its_gradients_are_float32(architecture):
    model = architecture.build(SHAPE, rngs=nnx.Rngs(0))
    apply, params = functional(model)
    if isinstance(architecture, MLP):  # its silent layers would hide all the others
        params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    half, _ = functional(model, Compute(bfloat16=True))
    y, h = jax.jit(apply)(params, X, NOISE), jax.jit(half)(params, X, NOISE)
    assert h.dtype == jnp.float32
    assert 1e-4 < relative_error(h, y) < 2e-2
    gradient = jax.eval_shape(jax.grad(lambda p: jnp.sum(half(p, X, NOISE))), params)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    program = str(jax.make_jaxpr(half)(params, X, NOISE))
    products = [line for line in program.splitlines() if "dot_general[" in line or "conv_general_dilated[" in line]
    single = [line for line in products if "bf16" not in line]
    ends = 4  # the first layer, the noise label's two, and the sums of attention's logits
    assert 0 < len(single) <= ends < len(products)


NARROW = MLP(width=8, depth=1)
POINT = (2,)


def test_a_network_restored_from_its_parameters_is_the_network_and_splits_into_them_again():
    apply, params = initialized(NARROW, POINT, seed=0)
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda p: random.normal(size=p.shape).astype(np.float32), params)
    model = restored(NARROW, POINT, jax.tree.map(np.float64, params))
    again, regained = functional(model)
    jax.tree.map(np.testing.assert_array_equal, regained, params)
    assert {leaf.dtype for leaf in jax.tree.leaves(regained)} == {jnp.dtype("float32")}
    x = np.array([0.3, -1.2], np.float32)
    before, *after = jax.jit(lambda p, q: (apply(p, x, NOISE), again(q, x, NOISE), model(x, NOISE)))(params, regained)
    for y in after:
        np.testing.assert_allclose(y, before, rtol=1e-6)


def test_parameters_may_be_arrays_of_numpy_also_where_a_label_looks_them_up():
    apply, params = initialized(dataclasses.replace(NARROW, condition=ClassLabel(3)), POINT, seed=0)
    random, labels = np.random.default_rng(0), jnp.arange(4)
    params = jax.tree.map(lambda p: random.normal(size=p.shape).astype(np.float32), params)
    classes = jax.vmap(lambda p, label: apply(p, jnp.ones(2), NOISE, condition=label), (None, 0))
    lifted = jax.jit(lambda labels: classes(params, labels))(labels)
    np.testing.assert_allclose(lifted, jax.jit(classes)(params, labels), rtol=1e-6)


def test_the_layers_of_a_restored_network_keep_their_order_and_may_be_numbered_in_text():
    deep = MLP(width=8, depth=11)
    _, params = initialized(deep, POINT, seed=0)
    as_text = lambda tree: {str(k): as_text(v) for k, v in tree.items()} if isinstance(tree, dict) else tree  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, functional(restored(deep, POINT, params))[1], params)
    jax.tree.map(np.testing.assert_array_equal, functional(restored(deep, POINT, as_text(params)))[1], params)


def test_parameters_of_another_network_are_not_restored():
    _, params = initialized(MLP(width=16, depth=1), POINT, seed=0)
    with pytest.raises(InputError, match=r"MLP for examples of shape \(2,\): \d+ of another shape \(\w+"):
        restored(NARROW, POINT, params)
    _, params = initialized(NARROW, POINT, seed=0)
    name = sorted(params)[0]
    moved = {("other" if key == name else key): value for key, value in params.items()}
    with pytest.raises(InputError, match=rf"\d+ missing \({name}.* first\), \d+ unexpected \(other.* first\) among"):
        restored(NARROW, POINT, moved)


def test_every_block_of_an_evaluation_drops_out_by_a_key_of_its_own():
    def given(key: jax.Array | None) -> list:
        keys, forward = [], Forward(key)
        for name in ("first", "second", "third"):
            forward(name, lambda h, *, key: keys.append(key) or h, X)
        return keys

    drawn = [jax.random.key_data(key).tolist() for key in given(jax.random.key(0))]
    assert len({tuple(words) for words in drawn}) == 3
    assert drawn == [jax.random.key_data(key).tolist() for key in given(jax.random.key(0))]
    assert given(None) == [None] * 3


def test_the_shapes_of_a_network_are_traced_once_for_all_that_ask():
    built = []

    @dataclasses.dataclass(frozen=True)
    class Counted(MLP):
        def build(self, shape, *, rngs):
            built.append(shape)
            return super().build(shape, rngs=rngs)

    network = Counted(width=8, depth=1)
    first, again = abstract(network, (3,))[1], abstract(network, (3,), Compute(bfloat16=True))[1]
    assert jax.tree.structure(first) == jax.tree.structure(again)
    abstract(network, (4,))
    abstract(dataclasses.replace(network, width=10), (3,))
    assert built == [(3,), (4,), (3,)]
