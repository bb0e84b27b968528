"""The residual block of NCSN++, as in Song et al. 2021."""

import math

from flax import nnx
from jax.nn import swish
from jaxtyping import Float

from sde_jax.nn.layers import conv1x1, conv3x3, dense
from sde_jax.nn.norms import GroupNorm
from sde_jax.nn.resample import Resample
from sde_jax.typing import Array, Key


def skip_sum(x: Array, h: Array, *, rescale: bool) -> Array:
    """Return x + h, over sqrt 2 with `rescale`, which keeps the variance of a sum of independent terms."""
    return (x + h) / math.sqrt(2) if rescale else x + h


class ResnetBlockBigGAN(nnx.Module):
    """skip(r(x)) + conv(dropout(a(conv(r(a(x))) + W swish(embedding)))) with a = swish o GroupNorm.

    r is `resample`, or the identity for None: both branches change resolution, after the first activation.
    skip is a 1 x 1 convolution where the resolution or the number of channels changes, else the identity. The
    variance of the last convolution starts at `init_scale`. With `skip_rescale` the sum is divided by sqrt 2.

    x [height, width, in_channels] -> [height', width', out_channels]; embedding [embedding_features]. Dropout
    is active exactly when `key` is given. Raises `InputError` where `GroupNorm` does.
    Brock et al. 2019 (appendix B), as in Song et al. 2021 (appendix H).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding_features: int,
        dropout: float,
        init_scale: float,
        skip_rescale: bool,
        resample: Resample | None = None,
        rngs: nnx.Rngs,
    ):
        self.resample = resample
        self.skip_rescale = skip_rescale
        self.norm_in = GroupNorm(in_channels)
        self.conv_in = conv3x3(in_channels, out_channels, rngs=rngs)
        self.embedding = dense(embedding_features, out_channels, rngs=rngs)
        self.norm_out = GroupNorm(out_channels)
        self.dropout = nnx.Dropout(dropout)
        self.conv_out = conv3x3(out_channels, out_channels, init_scale=init_scale, rngs=rngs)
        changes = resample is not None or in_channels != out_channels
        self.skip = conv1x1(in_channels, out_channels, rngs=rngs) if changes else None

    def __call__(
        self, x: Float[Array, "h w c"], embedding: Float[Array, " features"], *, key: Key | None = None
    ) -> Array:
        """Return the block's output for one image and the embedding of its noise label."""
        h = swish(self.norm_in(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv_in(h) + self.embedding(swish(embedding))
        h = self.dropout(swish(self.norm_out(h)), deterministic=key is None, rngs=key)
        h = self.conv_out(h)
        return skip_sum(x if self.skip is None else self.skip(x), h, rescale=self.skip_rescale)
