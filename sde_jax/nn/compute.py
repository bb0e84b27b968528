"""How a network is computed: in which precision, and what is kept for the backward pass."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
from jax.extend.core import primitives

from sde_jax.typing import Array

Block = Callable[..., Array]


class Rematerialization(Protocol):
    """What of a block's values the backward pass finds, and what it computes again (Chen et al. 2016)."""

    def around(self, block: Block) -> Block:
        """Return the same function, differentiated in this way."""
        ...


@dataclass(frozen=True)
class KeepAll:
    """Keep every value: nothing is computed twice."""

    def around(self, block: Block) -> Block:
        """Return the block."""
        return block


@dataclass(frozen=True)
class KeepProducts:
    """Keep the results of convolutions and matrix products alone: norms and activations, cheap, are computed again."""

    def around(self, block: Block) -> Block:
        """Return the block under `jax.checkpoint`."""
        return jax.checkpoint(block, policy=_is_product)  # type: ignore[return-value]


@dataclass(frozen=True)
class KeepBlocks:
    """Keep the inputs of blocks alone: one forward evaluation more, and the least memory."""

    def around(self, block: Block) -> Block:
        """Return the block under `jax.checkpoint`."""
        return jax.checkpoint(block)  # type: ignore[return-value]


def _is_product(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive in (primitives.dot_general_p, primitives.conv_general_dilated_p)


@dataclass(frozen=True)
class Compute:
    """How a network is computed.

    bfloat16: products, of convolutions, dense layers and attention, take and return bfloat16; sums, norms, activations,
    parameters, their gradients and averages stay float32 (Micikevicius et al. 2018; bfloat16 needs no scaling of the
    loss). rematerialization: what the backward pass keeps; with `KeepProducts` half of what it keeps in float32.
    """

    bfloat16: bool = False
    rematerialization: Rematerialization = field(default_factory=KeepAll)
