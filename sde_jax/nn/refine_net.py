"""The network that NCSN and NCSNv2 are: a ResNet with dilations, read from coarse to fine by refining blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.nn.condition import Conditioning
from sde_jax.nn.forward import Forward, require_example
from sde_jax.nn.network import Network
from sde_jax.nn.refine_blocks import Kit, RefineBlock, ResidualBlock, Stage, refine_conv
from sde_jax.nn.scale import OutputScale
from sde_jax.typing import Array


@dataclass(frozen=True)
class Level:
    """One level: two residual blocks of `width` channels, the first of which leaves the level before, if any.

    dilation: of its convolutions; at 1 it has half the resolution of the level before, else the same.
    refined: the channels of its refining block.
    """

    width: int
    dilation: int
    refined: int


class RefineNet(Network):
    """The network of some levels, from fine to coarse, for examples of one shape.

    h_0 = conv(2 x - 1), or of x where `centered`; h_i = the blocks of level i; r_i = refine_i(h_i, r_(i+1)) from the
    last level to the first; y = conv(activation(norm(r_0))) / sigma. The label is a whole number, rounded here.
    `conditional`: the norms hear it too. There is no dropout. Raises `InputError` unless an example is an image
    (height, width, channels) that halves as often as levels do, and where it is given a condition.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        shape: tuple[int, ...],
        kit: Kit,
        *,
        conditional: bool,
        centered: bool,
        scale: OutputScale,
    ):
        _check_shape(shape, 2 ** sum(level.dilation == 1 for level in levels[1:]))
        self.shape, self.centered, self.scale, self.conditional = tuple(shape), centered, scale, conditional
        self.conv_in = refine_conv(shape[-1], levels[0].width, rngs=kit.rngs)
        self.encoder = nnx.List([nnx.List(_blocks(*pair, kit)) for pair in zip([None, *levels], levels, strict=False)])
        self.decoder = nnx.List(_decoder(levels, kit))
        out = refine_conv(levels[0].refined, shape[-1], rngs=kit.rngs)
        self.out = Stage(kit.norm(levels[0].refined), kit.activation.activate, out)

    def __call__(
        self,
        x: Float[Array, "h w c"],
        noise: Float[Array, ""],
        *,
        condition: Array | None = None,
        forward: Forward | None = None,
    ) -> Float[Array, "h w c"]:
        """Return the output for one image `x` at the label `noise`."""
        require_example(x, noise, self.shape)
        forward = forward or Forward()
        Conditioning().embed(condition)
        index = jnp.round(noise)
        label = [index] if self.conditional else []
        h = self.conv_in(x if self.centered else 2 * x - 1)
        kept = []
        for i, level in enumerate(self.encoder):
            for j, block in enumerate(level):
                h = forward(f"encoder.{i}.{j}", block, h, *label)
            kept.append(h)
        refined = []
        for i, block in enumerate(self.decoder):
            refined = [forward(f"decoder.{i}", block, kept.pop(), *refined, *label)]
        return self.scale.divide(self.out(refined[0], *label), index)


def _blocks(before: Level | None, level: Level, kit: Kit) -> list[ResidualBlock]:
    inputs, dilation = (before or level).width, level.dilation
    return [
        ResidualBlock(inputs, level.width, down=before is not None, dilation=dilation, kit=kit),
        ResidualBlock(level.width, level.width, down=False, dilation=dilation, kit=kit),
    ]


def _decoder(levels: Sequence[Level], kit: Kit) -> list[RefineBlock]:
    """Return the refining blocks from the last level to the first, which has the most residual convolutions."""
    blocks, coarser = [], []
    for i in reversed(range(len(levels))):
        inputs = [levels[i].width, *coarser]
        blocks.append(RefineBlock(inputs, levels[i].refined, blocks=1 if i else 3, kit=kit))
        coarser = [levels[i].refined]
    return blocks


def _check_shape(shape: tuple[int, ...], multiple: int) -> None:
    if len(shape) != 3 or not all(whole(n, 1) for n in shape) or shape[0] % multiple or shape[1] % multiple:
        raise InputError(
            f"an example has shape {tuple(shape)}, expected an image (height, width, channels) whose height and width "
            f"are multiples of {multiple}"
        )
