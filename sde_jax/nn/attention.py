"""Attention between the pixels of an image."""

from flax import nnx
from jaxtyping import Float

from sde_jax.nn.blocks import Style, skip_sum
from sde_jax.nn.layers import attention, dense
from sde_jax.typing import Array, Key


class AttnBlock(nnx.Module):
    """x + W_o softmax(q k^T / sqrt(channels)) v with q, k, v linear in norm(x): all pixels, one head.

    W_q, W_k and W_v start at variance scale 0.1, W_o at the style's `init_scale`. With its `skip_rescale` the sum is
    divided by sqrt 2. x [height, width, channels] -> the same shape. Raises `InputError` where the norm does.
    Ho et al. 2020 (appendix B), as in Song et al. 2021 (appendix H).
    """

    def __init__(self, channels: int, style: Style, *, rngs: nnx.Rngs):
        self.skip_rescale = style.skip_rescale
        self.norm = style.normalization.norm(channels, rngs=rngs)
        self.query = dense(channels, channels, init_scale=0.1, rngs=rngs)
        self.key = dense(channels, channels, init_scale=0.1, rngs=rngs)
        self.value = dense(channels, channels, init_scale=0.1, rngs=rngs)
        self.out = dense(channels, channels, init_scale=style.init_scale, rngs=rngs)

    def __call__(self, x: Float[Array, "h w c"], *, key: Key | None = None) -> Float[Array, "h w c"]:
        """Return the image with every pixel informed by all others."""
        h = self.norm(x).reshape(-1, 1, x.shape[-1])  # dot_product_attention wants [pixels, heads, channels]
        h = attention(self.query(h), self.key(h), self.value(h), self.query.dtype)
        return skip_sum(x, self.out(h).reshape(x.shape), rescale=self.skip_rescale)
