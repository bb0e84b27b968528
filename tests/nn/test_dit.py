import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import ClassLabel, DiT, abstract, activations, functional
from sde_jax.nn.dit import _Block, image, patches, places

SMALL = DiT(width=16, depth=2, heads=2, patch=2, condition=ClassLabel(3))
SHAPE = (4, 6, 3)
X = jax.random.normal(jax.random.key(1), SHAPE)


def awake(tree):
    """The same parameters with the silent ones given a voice."""
    return jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), tree)


def test_patches_are_squares_of_the_image_and_image_undoes_them():
    x = jnp.arange(4 * 6 * 3.0).reshape(SHAPE)
    rows = patches(x, 2)
    np.testing.assert_array_equal(rows[4].reshape(2, 2, 3), x[2:4, 2:4])
    np.testing.assert_array_equal(image(rows, (2, 3), 2), x)


def test_the_product_of_two_places_depends_on_their_difference_alone():
    place = places(5, 7, 16).reshape(5, 7, 16)
    product = np.einsum("ijc,klc->ijkl", place, place)
    np.testing.assert_allclose(product[1:, 2:, 1:, 2:], product[:-1, :-2, :-1, :-2], atol=1e-12)
    np.testing.assert_allclose(np.einsum("ijc,ijc->ij", place, place), 8)
    frequency = 1e4**-0.25
    np.testing.assert_allclose(place[2, 3, [1, 5, 9, 13]], [f(n * frequency) for n in (3, 2) for f in (np.sin, np.cos)])


def test_every_block_starts_as_the_identity_and_the_network_as_zero():
    apply, params = activations(SMALL.build(SHAPE, rngs=nnx.Rngs(0)))
    y, named = jax.jit(apply)(params, X, jnp.asarray(3.0))
    np.testing.assert_array_equal(named["blocks.0"], named["blocks.1"])
    assert not np.any(y)
    _, named = jax.jit(apply)(awake(params), X, jnp.asarray(3.0))
    assert not np.allclose(named["blocks.0"], named["blocks.1"])


def test_a_block_commutes_with_any_permutation_of_the_patches():
    block = _Block(SMALL, nnx.Rngs(0))
    graph, params = nnx.split(block)
    run = jax.jit(nnx.merge(graph, awake(params)))
    h, c = jax.random.normal(jax.random.key(0), (6, 16)), jax.random.normal(jax.random.key(1), (16,))
    order = jnp.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(run(h[order], c), run(h, c)[order], atol=1e-5)


def test_label_and_class_and_all_parameters_but_the_other_classes_matter():
    apply, params = functional(SMALL.build(SHAPE, rngs=nnx.Rngs(0)))
    w = jax.random.normal(jax.random.key(2), SHAPE)
    slopes = jax.jit(jax.grad(lambda p, n: jnp.sum(w * apply(p, X, n, condition=jnp.asarray(1))), (0, 1)))
    by_params, by_noise = slopes(awake(params), jnp.asarray(3.0))
    assert abs(by_noise) > 1e-4
    table = by_params["conditioning"].pop("table")
    assert np.any(table[1])
    assert not np.any(np.delete(table, 1, axis=0))
    assert all(np.any(np.abs(leaf) > 1e-6) for leaf in jax.tree.leaves(by_params))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("width", "depth", "heads", "millions"),
    [
        (384, 12, 6, 33),
        pytest.param(768, 12, 12, 130, marks=SLOW),
        pytest.param(1024, 24, 16, 458, marks=SLOW),
        pytest.param(1152, 28, 16, 675, marks=SLOW),
    ],
)
def test_sizes_are_those_of_the_paper(width, depth, heads, millions):
    # table 4 of Peebles & Xie 2023, patches of 2 x 2 of a latent of 32 x 32 x 4, 1000 classes
    architecture = DiT(width, depth, heads, patch=2, condition=ClassLabel(1000))
    leaves = jax.tree.leaves(abstract(architecture, (32, 32, 4))[1])
    assert round(sum(math.prod(leaf.shape) for leaf in leaves) / 1e6) == millions


@pytest.mark.parametrize(
    "fields", [{"heads": 5}, {"width": 18, "heads": 2}, {"patch": 0}, {"dropout": 1.0}, {"depth": 1.5}]
)
def test_fields_out_of_range_are_refused(fields):
    with pytest.raises(InputError, match="expected a width that heads and 4 divide"):
        DiT(**{"width": 16, "heads": 2, **fields})


def test_an_image_that_patches_do_not_divide_is_refused_and_so_is_a_batch():
    with pytest.raises(InputError, match="multiples of patch = 2"):
        abstract(SMALL, (5, 6, 3))
    apply, params = abstract(SMALL, SHAPE)
    with pytest.raises(InputError, match=r"jax\.vmap"):
        jax.eval_shape(apply, params, X[None], jnp.ones(1))
