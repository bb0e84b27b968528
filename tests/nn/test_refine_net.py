import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax import codec
from sde_jax.checkpoints import FlaxLayout, to_params
from sde_jax.errors import InputError
from sde_jax.nn import (
    NCSN,
    Architecture,
    BySigma,
    ByTable,
    Compute,
    NCSNv2,
    NCSNv2Deeper,
    NCSNv2Deepest,
    Unscaled,
    abstract,
    activations,
)

KINDS = [NCSNv2(features=4), NCSNv2Deeper(features=4), NCSNv2Deepest(features=4), NCSN(features=4)]
SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def official(golden):
    recorded = np.load(golden / "jaxnet_ncsnv2_64.npz")
    architecture = NCSNv2(features=16, scale=ByTable(0.01, 50.0, 1000))
    apply, params = abstract(architecture, recorded["x_nhwc"].shape[1:])
    theirs = {name.removeprefix("param/"): recorded[name] for name in recorded if name.startswith("param/")}
    return apply, to_params(architecture, params, theirs, FlaxLayout()), recorded


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(theirs).max()


@pytest.mark.slow
def test_output_and_gradient_are_those_of_the_official_network_at_labels_that_need_rounding(official):
    apply, params, recorded = official

    def weighted_sum(x):
        y = jax.vmap(apply, (None, 0, 0))(params, x, jnp.asarray(recorded["t"]) + jnp.asarray([0.4, -0.4]))
        return jnp.sum(y * recorded["w"]), y

    (_, y), gradient = jax.jit(jax.value_and_grad(weighted_sum, has_aux=True))(jnp.asarray(recorded["x_nhwc"]))
    assert relative_error(y, recorded["y_nhwc"]) < 5e-6
    assert relative_error(gradient, recorded["grad_x"]) < 1e-5


def drawn(architecture):
    """The network with parameters drawn at once, faster than one by one."""
    apply, params = abstract(architecture, SHAPE)
    random = np.random.default_rng(0)
    return apply, jax.tree.map(lambda p: jnp.asarray(random.normal(0, 0.2, p.shape), p.dtype), params)


def test_every_norm_of_ncsn_has_a_table_of_classes():
    _, params = abstract(NCSN(features=4, classes=3), SHAPE)
    tables = [leaf.shape for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == "table"]
    # two of a residual block; of a refining block one of every convolution; one of the output
    assert len(tables) == 2 * 8 + (4 + 2 + 2) + 2 * (8 + 2 + 2 + 2) + (8 + 2 + 2 + 6) + 1
    assert {shape[0] for shape in tables} == {3}


@pytest.mark.slow
def test_ncsn_hears_its_label_through_its_tables_alone():
    apply, params = drawn(NCSN(features=4, classes=3))
    x = jax.random.uniform(jax.random.key(1), SHAPE)
    run = jax.jit(jax.vmap(apply, (None, None, 0)))
    y = run(params, x, jnp.asarray([0.0, 1.0, 2.0, 1.3, -5.0, 9.0]))
    assert relative_error(y[0], y[1]) > 1e-3
    assert relative_error(y[1], y[2]) > 1e-3
    np.testing.assert_array_equal(y[jnp.asarray([3, 4, 5])], y[jnp.asarray([1, 0, 2])])
    # tables that say of every class what they say of class 0 leave no class but that
    same = jax.tree.map_with_path(
        lambda path, leaf: jnp.broadcast_to(leaf[0], leaf.shape) if path[-1].key == "table" else leaf, params
    )
    deaf = run(same, x, jnp.arange(6.0) % 3)
    np.testing.assert_allclose(deaf, jnp.broadcast_to(y[0], deaf.shape), rtol=1e-4, atol=1e-6)


def test_data_enter_as_two_x_minus_one_unless_centred_and_a_table_divides():
    one_level = NCSNv2(4, (1,), (1,), (1,), scale=ByTable(0.1, 10.0, 3))
    plain, params = drawn(one_level)
    centred, _ = abstract(dataclasses.replace(one_level, centered=True, scale=Unscaled()), SHAPE)
    x = jax.random.uniform(jax.random.key(1), SHAPE)
    y, z = jax.jit(lambda params: (plain(params, x, 2.0), centred(params, 2 * x - 1, 2.0)))(params)
    np.testing.assert_allclose(0.1 * y, z, rtol=1e-4, atol=1e-5)
    model = nnx.eval_shape(lambda: NCSN(4, centered=True, scale=BySigma()).build(SHAPE, rngs=nnx.Rngs(0)))
    assert (model.centered, model.scale) == (True, BySigma())


@pytest.mark.parametrize(
    ("architecture", "heights", "refined"),
    [
        (KINDS[0], (16, 8, 8, 8), (8, 8, 8, 4)),
        (KINDS[1], (16, 8, 4, 4, 4), (16, 8, 8, 4, 4)),
        (KINDS[2], (16, 8, 4, 2, 2, 2), (16, 8, 8, 8, 4, 4)),
        (KINDS[3], (16, 8, 8, 8), (8, 8, 8, 4)),
    ],
)
def test_levels_halve_until_they_dilate_and_are_refined_from_coarse_to_fine(architecture, heights, refined):
    model = nnx.eval_shape(lambda: architecture.build((16, 16, 3), rngs=nnx.Rngs(0)))
    apply, params = activations(model)
    y, named = jax.eval_shape(apply, params, jnp.zeros((16, 16, 3), jnp.bfloat16), jnp.zeros(()))
    assert y.shape == (16, 16, 3)
    assert y.dtype == jnp.bfloat16
    assert [named[f"encoder.{i}.{j}"].shape[0] for i in range(len(heights)) for j in (0, 1)] == list(
        np.repeat(heights, 2)
    )
    shapes = [named[f"decoder.{i}"].shape for i in range(len(heights))]
    assert shapes == [(h, h, c) for h, c in zip(reversed(heights), refined, strict=True)]
    assert len(named) == 3 * len(heights)


@pytest.mark.parametrize("architecture", [KINDS[0], KINDS[3]])
def test_every_convolution_but_the_first_can_be_bfloat16(architecture):
    half, params = abstract(architecture, SHAPE, Compute(bfloat16=True))
    program = str(jax.make_jaxpr(half)(params, jnp.zeros(SHAPE), jnp.zeros(())))
    products = [line for line in program.splitlines() if "conv_general_dilated[" in line]
    assert ["bf16" in line for line in products] == [False] + [True] * (len(products) - 1)  # all but the first


@pytest.mark.parametrize("architecture", KINDS)
def test_an_architecture_is_a_component_of_configurations(architecture):
    decoded, problems = codec.decode(Architecture, codec.encode(architecture))
    assert (decoded, problems) == (architecture, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"features": 0},
        {"channel_multipliers": ()},
        {"dilations": (1, 1, 2)},
        {"dilations": (1, 1, 0, 4)},
        {"refined_multipliers": (1, 2, 2, 3)},
        {"channel_multipliers": 2},
    ],
)
def test_levels_that_do_not_fit_one_another_are_refused(fields):
    with pytest.raises(InputError, match="one a level"):
        NCSNv2(**fields)


@pytest.mark.parametrize("fields", [{"classes": 0}, {"features": 0}, {"classes": 2.0}])
def test_no_classes_are_refused(fields):
    with pytest.raises(InputError, match="features and classes"):
        NCSN(**fields)


@pytest.mark.parametrize(("architecture", "multiple"), list(zip(KINDS, (2, 4, 8, 2), strict=True)))
def test_an_image_that_does_not_halve_is_refused(architecture, multiple):
    abstract(architecture, (multiple, 3 * multiple, 1))
    for shape in [(multiple + 1, 8, 3), (8, multiple + 1, 3), (8, 8), (0, 8, 3)]:
        with pytest.raises(InputError, match=f"multiples of {multiple}"):
            abstract(architecture, shape)


def test_batches_and_conditions_are_refused():
    apply, params = abstract(KINDS[0], SHAPE)
    with pytest.raises(InputError, match=r"jax\.vmap"):
        jax.eval_shape(apply, params, jnp.zeros((2, *SHAPE)), jnp.zeros(()))
    with pytest.raises(InputError, match="scalar label"):
        jax.eval_shape(apply, params, jnp.zeros(SHAPE), jnp.zeros(2))
    with pytest.raises(InputError, match="without one"):
        jax.eval_shape(lambda p, x: apply(p, x, 0.0, condition=x), params, jnp.zeros(SHAPE))
