"""The diffusion transformer."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.nn.condition import Condition, Unconditional
from sde_jax.nn.embeddings import positional
from sde_jax.nn.forward import Forward, require_example
from sde_jax.nn.layers import attention, operands, silent
from sde_jax.nn.network import Network
from sde_jax.typing import Array, Key

FREQUENCIES = 256
"""Numbers in the sinusoidal embedding of the noise label."""


@dataclass(frozen=True)
class DiT:
    """A transformer over patches of an image, each block modulated by noise label and condition (adaLN-Zero).

    Patches enter `width` features, with sines and cosines of their places added. With c the embedded noise label plus
    the embedded condition, and (shift, scale, gate) linear in swish(c), a block is

        h = h + gate Attention(norm(h) (1 + scale) + shift);  h = h + gate' MLP(norm(h) (1 + scale') + shift')

    and the output is linear in norm(h) (1 + scale) + shift. Gates and output start at zero: every block starts as the
    identity. Peebles & Xie 2023 (figure 3): width 384, depth 12, heads 6 is DiT-S; 768, 12, 12 DiT-B; 1024, 24, 16
    DiT-L; 1152, 28, 16 DiT-XL; `patch` 2, 4 or 8.

    heads: of attention, which divide the width; expansion: hidden features of the MLP, in widths; dropout: probability
    in front of either sum; condition: see condition.py. Raises `InputError` where a field is out of range.
    """

    width: int = 384
    depth: int = 12
    heads: int = 6
    patch: int = 2
    expansion: int = 4
    dropout: float = 0.0
    condition: Condition = field(default_factory=Unconditional)

    def __post_init__(self):
        counts = (self.width, self.depth, self.heads, self.patch, self.expansion)
        fits = all(whole(count, 1) for count in counts) and self.width % self.heads == 0 and self.width % 4 == 0
        if not (fits and 0 <= self.dropout < 1):
            raise InputError(
                f"{self}: expected a width that heads and 4 divide, whole numbers of at least 1, a dropout in [0, 1)"
            )

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for images of `shape` = (height, width, channels), which `patch` divides."""
        if len(shape) != 3 or shape[0] % self.patch or shape[1] % self.patch:
            raise InputError(
                f"DiT: an example has shape {tuple(shape)}: expected (height, width, channels), height and width "
                f"multiples of patch = {self.patch}"
            )
        return DiTNetwork(self, shape, rngs)


class DiTNetwork(Network):
    """The network that `DiT` describes, for images of one shape."""

    def __init__(self, config: DiT, shape: tuple[int, ...], rngs: nnx.Rngs):
        width, patch = config.width, config.patch
        self.shape, self.patch = shape, patch
        self.conditioning = config.condition.conditioning(shape, width, rngs=rngs)
        self.entry = _linear(patch**2 * (shape[2] + self.conditioning.channels), width, rngs)
        small = nnx.initializers.normal(0.02)
        self.embedding_in = nnx.Linear(FREQUENCIES, width, kernel_init=small, rngs=rngs)
        self.embedding_out = nnx.Linear(width, width, kernel_init=small, rngs=rngs)
        self.blocks = nnx.List([_Block(config, rngs) for _ in range(config.depth)])
        self.modulation = silent(width, 2 * width, rngs)
        self.exit = silent(width, patch**2 * shape[2], rngs)

    def __call__(
        self,
        x: Float[Array, "h w c"],
        noise: Float[Array, ""],
        *,
        condition: Array | None = None,
        forward: Forward | None = None,
    ) -> Float[Array, "h w c"]:
        """Return the output for one image `x` at the scalar label `noise`."""
        require_example(x, noise, self.shape)
        forward = forward or Forward()
        label = jax.nn.swish(self.embedding_in(positional(noise, FREQUENCIES)))
        c = self.embedding_out(label) + self.conditioning.embed(condition)
        grid = (self.shape[0] // self.patch, self.shape[1] // self.patch)
        h = self.entry(patches(self.conditioning.join(x, condition), self.patch))
        h = h + jnp.asarray(places(*grid, h.shape[-1]), h.dtype)
        for i, block in enumerate(self.blocks):
            h = forward(f"blocks.{i}", block, h, c)
        shift, scale = jnp.split(self.modulation(jax.nn.swish(c)), 2)
        return image(self.exit(_modulated(h, shift, scale)), grid, self.patch)


class _Block(nnx.Module):
    def __init__(self, config: DiT, rngs: nnx.Rngs):
        width, hidden = config.width, config.expansion * config.width
        self.heads = config.heads
        self.modulation = silent(width, 6 * width, rngs)
        self.attention_in, self.attention_out = _linear(width, 3 * width, rngs), _linear(width, width, rngs)
        self.inner, self.outer = _linear(width, hidden, rngs), _linear(hidden, width, rngs)
        self.dropout = nnx.Dropout(config.dropout)

    def __call__(self, h: Array, c: Array, *, key: Key | None = None) -> Array:
        shift, scale, gate, shift2, scale2, gate2 = jnp.split(self.modulation(jax.nn.swish(c)), 6)
        first, second = (None, None) if key is None else jax.random.split(key)
        h = h + gate * self._dropped(self._attention(_modulated(h, shift, scale)), first)
        y = jax.nn.gelu(self.inner(_modulated(h, shift2, scale2)), approximate=True)
        return h + gate2 * self._dropped(self.outer(y), second)

    def _attention(self, h: Array) -> Array:
        q, k, v = jnp.moveaxis(self.attention_in(h).reshape(len(h), 3, self.heads, -1), 1, 0)
        return self.attention_out(attention(q, k, v, self.attention_in.dtype).reshape(h.shape))

    def _dropped(self, h: Array, key: Key | None) -> Array:
        return self.dropout(h, deterministic=key is None, rngs=key)


def patches(x: Float[Array, "h w c"], size: int) -> Float[Array, "n d"]:
    """Return the size x size squares of an image, row by row, each as one vector."""
    height, width, channels = x.shape
    squares = x.reshape(height // size, size, width // size, size, channels).swapaxes(1, 2)
    return squares.reshape(-1, size * size * channels)


def image(rows: Float[Array, "n d"], grid: tuple[int, int], size: int) -> Float[Array, "h w c"]:
    """Return the image of which `patches` makes these rows."""
    squares = rows.reshape(*grid, size, size, -1).swapaxes(1, 2)
    return squares.reshape(grid[0] * size, grid[1] * size, -1)


def places(rows: int, columns: int, features: int) -> Float[np.ndarray, "n d"]:
    """Return sines and cosines of every patch's column and row, `features` / 4 of each (Peebles & Xie 2023)."""
    frequencies = 1e4 ** -(np.arange(features // 4) / (features / 4))
    row, column = (place.reshape(-1, 1) * frequencies for place in np.mgrid[:rows, :columns])
    return np.concatenate([np.sin(column), np.cos(column), np.sin(row), np.cos(row)], axis=1)


def _modulated(h: Array, shift: Array, scale: Array) -> Array:
    centred = h - jnp.mean(h, axis=-1, keepdims=True)
    normal = centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-6)
    return normal * (1 + scale) + shift


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    xavier = nnx.initializers.xavier_uniform()
    return nnx.Linear(inputs, outputs, kernel_init=xavier, promote_dtype=operands, rngs=rngs)
