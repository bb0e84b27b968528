"""A residual network of dense layers, for tables, low dimensions and very small images."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn.embeddings import positional
from sde_jax.typing import Array


@dataclass(frozen=True)
class MLP:
    """Residual blocks h + W2 swish(W1 norm(h) (1 + scale) + shift), modulated by the noise level.

    The flattened example enters `width` features; `scale` and `shift` are linear in an embedding of the noise
    label (FiLM, Perez et al. 2018); the last layer starts at zero, as in Ho et al. 2020.

    width: features of the residual stream; depth: number of blocks; dropout: probability inside a block.
    Raises `InputError` where a field is out of range.
    """

    width: int = 512
    depth: int = 4
    dropout: float = 0.0

    def __post_init__(self):
        if self.width < 4 or self.width % 2 or self.depth < 1 or not 0 <= self.dropout < 1:
            raise InputError(
                f"MLP(width={self.width}, depth={self.depth}, dropout={self.dropout}): expected an even width of 4 "
                "or more, a depth of 1 or more and a dropout in [0, 1)"
            )

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape`."""
        return _ResidualMLP(self, shape, rngs)


EMBEDDING = 128
"""Features of the embedded noise label."""


class _Block(nnx.Module):
    def __init__(self, width: int, dropout: float, rngs: nnx.Rngs):
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.inner = nnx.Linear(width, width, rngs=rngs)
        self.modulation = nnx.Linear(EMBEDDING, 2 * width, kernel_init=nnx.initializers.zeros, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)
        self.outer = nnx.Linear(width, width, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, h: Array, embedding: Array, rngs: nnx.Rngs | None) -> Array:
        scale, shift = jnp.split(self.modulation(embedding), 2)
        y = jax.nn.swish(self.inner(self.norm(h)) * (1 + scale) + shift)
        return h + self.outer(self.dropout(y, deterministic=rngs is None, rngs=rngs))


class _ResidualMLP(nnx.Module):
    def __init__(self, config: MLP, shape: tuple[int, ...], rngs: nnx.Rngs):
        size = math.prod(shape)
        self.entry = nnx.Linear(size, config.width, rngs=rngs)
        self.embedding = nnx.Linear(EMBEDDING, EMBEDDING, rngs=rngs)
        self.blocks = nnx.List([_Block(config.width, config.dropout, rngs) for _ in range(config.depth)])
        self.norm = nnx.RMSNorm(config.width, rngs=rngs)
        self.exit = nnx.Linear(config.width, size, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, x: Array, noise: Array, *, rngs: nnx.Rngs | None = None) -> Array:
        embedding = jax.nn.swish(self.embedding(positional(noise, EMBEDDING)))
        h = self.entry(x.reshape(-1))
        for block in self.blocks:
            h = block(h, embedding, rngs)
        return self.exit(self.norm(h)).reshape(x.shape)
