import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.checkpoints import FlaxLayout, to_params
from sde_jax.errors import InputError
from sde_jax.nn import Compute, abstract, activations
from sde_jax.nn.classifiers import ChannelMoments, WideResNet
from sde_jax.nn.classifiers.wide_resnet import _Block, _conv, _logits, _standardized
from sde_jax.nn.norms import GroupNorm

SMALL = WideResNet(blocks_per_group=2, widening=1)
PLAIN = WideResNet(blocks_per_group=2, widening=1, moments=ChannelMoments((0.0,) * 3, (1.0,) * 3))
SHAPE = (32, 32, 3)


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(theirs).max()


def test_logits_and_their_gradient_are_those_of_the_official_classifier(golden):
    recorded = np.load(golden / "jax_classifier_wrn.npz")
    apply, params = abstract(SMALL, SHAPE)
    plain, _ = abstract(PLAIN, SHAPE)
    theirs = {name.removeprefix("param/"): recorded[name] for name in recorded if name.startswith("param/")}
    params = to_params(SMALL, params, theirs, FlaxLayout())
    x, sigma = jnp.asarray(recorded["x_nhwc"]), jnp.asarray(recorded["sigma"])

    def log_probability(x):
        logits = jax.vmap(apply, (None, 0, 0))(params, x, sigma)
        return jax.nn.log_softmax(logits)[jnp.arange(3), recorded["labels"]].sum(), logits

    def run(x):
        return jax.value_and_grad(log_probability, has_aux=True)(x), jax.vmap(plain, (None, 0, 0))(params, x, sigma)

    ((_, logits), gradient), raw = jax.jit(run)(x)
    assert relative_error(logits, recorded["logits_preprocessed"]) < 2e-6
    assert relative_error(raw, recorded["raw_logits"]) < 2e-6
    assert relative_error(gradient, recorded["grad_logp"]) < 1e-5


def test_parameters_are_as_many_as_in_the_official_classifier():
    _, params = abstract(WideResNet(), SHAPE)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == 38_913_242


def test_the_skip_takes_means_and_appends_zeros():
    x, embedding = jax.random.normal(jax.random.key(0), (4, 4, 8)), jnp.ones(512)
    block = _Block(8, 12, stride=2, activated=False, rngs=nnx.Rngs(0))
    block.conv_out.kernel[...] = jnp.zeros((3, 3, 12, 12))
    expected = jnp.pad(x.reshape(2, 2, 2, 2, 8).mean((1, 3)), ((0, 0), (0, 0), (0, 4)))
    np.testing.assert_allclose(block(x, embedding), expected, atol=1e-6)
    block.activated = True
    a = jax.nn.relu(block.norm_in(x))
    expected = jnp.pad(a.reshape(2, 2, 2, 2, 8).mean((1, 3)), ((0, 0), (0, 0), (0, 4)))
    np.testing.assert_allclose(block(x, embedding), expected, atol=1e-6)


def test_images_are_standardised_but_flat_ones_not_blown_up():
    x, moments = jax.random.uniform(jax.random.key(0), SHAPE), PLAIN.moments
    y = _standardized(x, moments)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(_standardized(3 * x + 2, moments), y, atol=1e-5)
    faint = _standardized(1e-4 * x, moments)
    np.testing.assert_allclose(faint, 1e-4 * (x - x.mean()) * math.sqrt(x.size), atol=1e-5)
    assert _standardized(x.astype(jnp.bfloat16), moments).dtype == jnp.bfloat16


def test_layers_start_as_in_the_official_classifier():
    weights = np.asarray(_conv(16, 32, rngs=nnx.Rngs(0)).kernel[...], np.float64)
    assert abs(weights.var() * 9 * 32 / 2 - 1) < 6 / np.sqrt(weights.size)
    assert abs(weights.mean()) < 4 * weights.std() / np.sqrt(weights.size)
    out = np.asarray(_logits(64, 25, rngs=nnx.Rngs(0)).kernel[...], np.float64)
    assert 0.19 < out.max() < 0.2
    assert -0.2 < out.min() < -0.19
    assert abs(np.mean(out**2) * 3 * 25 - 1) < 4 / np.sqrt(out.size)
    model = nnx.eval_shape(lambda: SMALL.build(SHAPE, rngs=nnx.Rngs(0)))
    assert {m.epsilon for _, m in nnx.iter_modules(model) if isinstance(m, GroupNorm)} == {1e-5}


def test_a_flat_image_has_a_gradient():
    gradient = jax.grad(lambda x: jnp.sum(_standardized(x, PLAIN.moments) ** 2))(jnp.ones((4, 4, 3)))
    np.testing.assert_array_equal(gradient, jnp.zeros((4, 4, 3)))


def test_blocks_run_through_forward_and_add_in_float32():
    model = nnx.eval_shape(lambda: SMALL.build(SHAPE, rngs=nnx.Rngs(0)))
    apply, params = activations(model, Compute(bfloat16=True))
    y, named = jax.eval_shape(apply, params, jnp.zeros(SHAPE), jnp.ones(()))
    assert (y.shape, y.dtype) == ((10,), jnp.float32)
    assert [named[f"groups.{i}.{j}"].shape for i in range(3) for j in range(2)] == [
        (32 // 2**i, 32 // 2**i, 16 * 2**i) for i in range(3) for _ in range(2)
    ]
    assert {h.dtype for h in named.values()} == {jnp.dtype(jnp.float32)}  # the sums of its bfloat16 products


@pytest.mark.parametrize("fields", [{"classes": 0}, {"blocks_per_group": 0}, {"widening": 1.5}])
def test_sizes_that_are_none_are_refused(fields):
    with pytest.raises(InputError, match="of 1 or more"):
        WideResNet(**fields)


@pytest.mark.parametrize("fields", [((0.5,), (1.0, 1.0)), ((0.5,), (0.0,)), ((0.5,), (float("inf"),))])
def test_moments_that_do_not_normalise_are_refused(fields):
    with pytest.raises(InputError, match="positive deviation"):
        ChannelMoments(*fields)


@pytest.mark.parametrize(
    ("shape", "message"), [((32, 30, 3), "multiples of 4"), ((32, 32), "multiples of 4"), ((32, 32, 1), "3 channels")]
)
def test_images_of_another_kind_are_refused(shape, message):
    with pytest.raises(InputError, match=message):
        abstract(SMALL, shape)


def test_batches_and_conditions_are_refused():
    apply, params = abstract(SMALL, SHAPE)
    with pytest.raises(InputError, match=r"jax\.vmap"):
        jax.eval_shape(apply, params, jnp.zeros((2, *SHAPE)), jnp.ones(()))
    with pytest.raises(InputError, match="without one"):
        jax.eval_shape(lambda p, x: apply(p, x, 1.0, condition=x), params, jnp.zeros(SHAPE))
