import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sde_jax.nn import Box, GroupNormalization, Swish
from sde_jax.nn.attention import AttnBlock
from sde_jax.nn.blocks import Style


def attention(init_scale=1.0, skip_rescale=True):
    style = Style(4, 0.0, init_scale, skip_rescale, Swish(), GroupNormalization(groups=None), Box())
    return AttnBlock(8, style, rngs=nnx.Rngs(0))


def test_attention_commutes_with_any_permutation_of_the_pixels():
    x = jax.random.normal(jax.random.key(0), (4, 6, 8))
    order = np.random.default_rng(0).permutation(24)

    def permute(image):
        return np.asarray(image).reshape(24, 8)[order].reshape(image.shape)

    block = jax.jit(attention())
    np.testing.assert_allclose(block(permute(x)), permute(block(x)), rtol=1e-5, atol=1e-5)


def test_attention_of_equal_pixels_is_their_value():
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (8,)), (4, 4, 8))
    block = attention(skip_rescale=False)
    np.testing.assert_allclose(jax.jit(block)(x), x + block.out(block.value(block.norm(x))), rtol=1e-5, atol=1e-5)


def test_attention_of_a_commanding_query_reads_one_pixel():
    block = attention(skip_rescale=False)
    x = jax.random.normal(jax.random.key(0), (4, 4, 8))
    # a query that grows without bound finds its best key alone: softmax becomes argmax
    block.query.kernel[...] = 1e6 * block.query.kernel[...]
    h = block.norm(x).reshape(16, 8)
    best = jnp.argmax(block.query(h) @ block.key(h).T, axis=1)
    expected = x + block.out(block.value(h)[best]).reshape(x.shape)
    np.testing.assert_allclose(jax.jit(block)(x), expected, rtol=1e-5, atol=1e-5)


def test_attention_that_starts_silent_is_the_identity_over_root_two():
    x = jax.random.normal(jax.random.key(0), (4, 4, 8))
    np.testing.assert_allclose(jax.jit(attention(init_scale=0.0))(x), x / np.sqrt(2), atol=1e-4)
