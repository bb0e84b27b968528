"""A residual network of dense layers, for tables, low dimensions and very small images."""

import math
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn.condition import Condition, Unconditional
from sde_jax.nn.embeddings import positional
from sde_jax.nn.forward import Forward, require_example
from sde_jax.nn.layers import operands, silent
from sde_jax.nn.network import Network
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class MLP:
    """Residual blocks h + W2 swish(W1 norm(h) (1 + scale) + shift), modulated by the noise level.

    The flattened example enters `width` features; `scale` and `shift` are linear in an embedding of the noise
    label (FiLM, Perez et al. 2018); the last layer starts at zero, as in Ho et al. 2020.

    width: features of the residual stream; depth: number of blocks; dropout: probability inside a block; condition:
    what else the network is told, added to that embedding (or, of channels, appended to the example).
    Raises `InputError` where a field is out of range.
    """

    width: int = 512
    depth: int = 4
    dropout: float = 0.0
    condition: Condition = field(default_factory=Unconditional)

    def __post_init__(self):
        if self.width < 4 or self.width % 2 or self.depth < 1 or not 0 <= self.dropout < 1:
            raise InputError(
                f"MLP(width={self.width}, depth={self.depth}, dropout={self.dropout}): expected an even width of 4 "
                "or more, a depth of 1 or more and a dropout in [0, 1)"
            )

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape`."""
        return ResidualMLP(self, shape, shape, rngs)


EMBEDDING = 128
"""Features of the embedded noise label."""


class _Block(nnx.Module):
    def __init__(self, width: int, dropout: float, rngs: nnx.Rngs):
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.inner = nnx.Linear(width, width, promote_dtype=operands, rngs=rngs)
        self.modulation = silent(EMBEDDING, 2 * width, rngs)
        self.dropout = nnx.Dropout(dropout)
        self.outer = silent(width, width, rngs)

    def __call__(self, h: Array, embedding: Array, *, key: Key | None) -> Array:
        scale, shift = jnp.split(self.modulation(embedding), 2)
        y = jax.nn.swish(self.inner(self.norm(h)) * (1 + scale) + shift)
        return h + self.outer(self.dropout(y, deterministic=key is None, rngs=key))


class ResidualMLP(Network):
    """The blocks between an example of `shape` and numbers of shape `outputs`."""

    def __init__(self, config: MLP, shape: tuple[int, ...], outputs: tuple[int, ...], rngs: nnx.Rngs):
        self.shape, self.outputs = tuple(shape), tuple(outputs)
        self.conditioning = config.condition.conditioning(shape, EMBEDDING, rngs=rngs)
        joined = math.prod(shape[:-1]) * (shape[-1] + self.conditioning.channels)
        self.entry = nnx.Linear(joined, config.width, promote_dtype=operands, rngs=rngs)
        self.embedding = nnx.Linear(EMBEDDING, EMBEDDING, rngs=rngs)
        self.blocks = nnx.List([_Block(config.width, config.dropout, rngs) for _ in range(config.depth)])
        self.norm = nnx.RMSNorm(config.width, rngs=rngs)
        self.exit = silent(config.width, math.prod(outputs), rngs)

    def __call__(
        self, x: Array, noise: Array, *, condition: Array | None = None, forward: Forward | None = None
    ) -> Array:
        """Return the network's output for one example."""
        require_example(x, noise, self.shape)
        forward = forward or Forward()
        embedding = positional(noise, EMBEDDING) + self.conditioning.embed(condition)
        embedding = jax.nn.swish(self.embedding(embedding))
        h = self.entry(self.conditioning.join(x, condition).reshape(-1))
        for i, block in enumerate(self.blocks):
            h = forward(f"blocks.{i}", block, h, embedding)
        return self.exit(self.norm(h)).reshape(self.outputs)
