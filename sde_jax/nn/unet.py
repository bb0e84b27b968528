"""The U-Net that DDPM, DDPM++ and NCSN++ are."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.nn.attention import AttnBlock
from sde_jax.nn.blocks import BlockType, Style
from sde_jax.nn.condition import Condition
from sde_jax.nn.embeddings import Embedding
from sde_jax.nn.forward import Forward, require_example
from sde_jax.nn.layers import conv3x3, dense
from sde_jax.nn.network import Network
from sde_jax.nn.pyramid import InputPyramid, OutputPyramid
from sde_jax.nn.scale import OutputScale
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class Plan:
    """A U-Net for images of one shape: its levels from fine to coarse, what they are made of, what is around them.

    shape: (height, width, channels); features: channels of the first convolution; widths: channels of the levels;
    attention: whether each has it; blocks: per level; style, block, pyramids, ...: the kinds of its parts. The
    style's `embedding` is None for a network that hears no noise label.
    """

    shape: tuple[int, ...]
    features: int
    widths: tuple[int, ...]
    attention: tuple[bool, ...]
    blocks: int
    style: Style
    block: BlockType
    input_pyramid: InputPyramid
    output_pyramid: OutputPyramid
    embedding: Embedding
    centered: bool
    scale: OutputScale
    condition: Condition


class UNet(Network):
    """Level i has 1 / 2^i of the resolution; the encoder keeps every h, and the decoder reads them, last first:

        encoder   h = conv(x); at each level `blocks` times h = attention(block(h)); then h = read(image, down(h))
        middle    h = block(attention(block(h)))
        decoder   at each level `blocks` + 1 times h = block([h, kept]); then h = up(write(attention(h)))
        output    finish(h), divided by the scale of the noise label

    The blocks hear the noise label, and the condition, as dense(activation(dense(features(label) + condition))).
    x is mapped to 2 x - 1 before anything else where it is not centred.
    """

    def __init__(self, plan: Plan, rngs: nnx.Rngs):
        self.shape, self.centered, self.scale = plan.shape, plan.centered, plan.scale
        self.activate = plan.style.activation.activate
        # an official network keeps the W of a Fourier embedding that it does not use, and so do its files
        self.noise_features: Any = plan.embedding.embedder(plan.features, rngs=rngs)
        self.conditioning = plan.condition.conditioning(plan.shape, self.noise_features.size, rngs=rngs)
        size = plan.style.embedding
        if self.conditioning.embeds and not size:
            raise InputError(
                f"condition is {plan.condition} and noise_conditional False: expected a condition that needs no "
                "embedding, or noise_conditional=True"
            )
        self.embedding_in = dense(self.noise_features.size, size, rngs=rngs) if size else None
        self.embedding_out = dense(size, size, rngs=rngs) if size else None
        self.conv_in = conv3x3(plan.shape[2] + self.conditioning.channels, plan.features, rngs=rngs)
        encoder, kept = _encoder(plan, rngs)
        coarsest = plan.widths[-1]
        self.encoder = nnx.List(encoder)
        self.middle = nnx.List([_layer(plan, coarsest, coarsest, attends, rngs) for attends in (True, False)])
        self.decoder = nnx.List(_decoder(plan, kept, rngs))
        self.finish: Any = plan.output_pyramid.finish(plan.widths[0], plan.shape[2], plan.style, rngs=rngs)

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
        embedding = self._embed(noise, condition)
        x = x if self.centered else 2 * x - 1
        kept = self._encode(x, self.conditioning.join(x, condition), embedding, forward)
        h = kept[-1]
        for i, layer in enumerate(self.middle):
            h = forward(f"middle.{i}", layer, h, embedding)
        pyramid, h = self._decode(h, kept, embedding, forward)
        return self.scale.divide(self.finish(pyramid, h), noise)

    def _embed(self, noise: Array, condition: Array | None) -> Array | None:
        condition_features = self.conditioning.embed(condition)
        if self.embedding_in is None or self.embedding_out is None:
            return None
        features = self.noise_features(noise) + condition_features
        return self.embedding_out(self.activate(self.embedding_in(features)))

    def _encode(self, x: Array, joined: Array, embedding: Array | None, forward: Forward) -> list[Array]:
        pyramid, kept = x, [self.conv_in(joined)]
        for i, level in enumerate(self.encoder):
            for j, layer in enumerate(level.layers):
                kept.append(forward(f"encoder.{i}.{j}", layer, kept[-1], embedding))
            if level.resample is not None:
                h = forward(f"encoder.{i}.down", level.resample, kept[-1], embedding)
                pyramid, h = level.pyramid(pyramid, h)
                kept.append(h)
        return kept

    def _decode(
        self, h: Array, kept: list[Array], embedding: Array | None, forward: Forward
    ) -> tuple[Array | None, Array]:
        pyramid = None
        for i, level in enumerate(self.decoder):
            for j, layer in enumerate(level.layers):
                h = forward(f"decoder.{i}.{j}", layer, jnp.concatenate([h, kept.pop()], axis=-1), embedding)
            pyramid, h = level.pyramid(pyramid, h)
            if level.resample is not None:
                h = forward(f"decoder.{i}.up", level.resample, h, embedding)
        return pyramid, h


class _Layer(nnx.Module):
    """A block and the attention after it, if any."""

    def __init__(self, block: nnx.Module, attention: AttnBlock | None):
        self.block = block
        self.attention = attention

    def __call__(self, h: Array, embedding: Array | None, *, key: Key | None) -> Array:
        h = self.block(h, embedding, key=key)  # type: ignore[operator]
        return h if self.attention is None else self.attention(h)


class _Level(nnx.Module):
    """The layers of one resolution, what leaves it, and its step of the pyramid; None for what it has not."""

    def __init__(self, layers: list[_Layer], resample: nnx.Module | None, pyramid: Any):
        self.layers = nnx.List(layers)
        self.resample = resample
        self.pyramid = pyramid


def _layer(plan: Plan, inputs: int, outputs: int, attends: bool, rngs: nnx.Rngs) -> _Layer:
    block = plan.block.block(inputs, outputs, plan.style, rngs=rngs)
    return _Layer(block, AttnBlock(outputs, plan.style, rngs=rngs) if attends else None)


def _encoder(plan: Plan, rngs: nnx.Rngs) -> tuple[list[_Level], list[int]]:
    """Return the levels from fine to coarse, and the channels of everything that they keep, in order."""
    levels, kept, image = [], [plan.features], plan.shape[2]
    for i, (width, attends) in enumerate(zip(plan.widths, plan.attention, strict=True)):
        layers = []
        for _ in range(plan.blocks):
            layers.append(_layer(plan, kept[-1], width, attends, rngs))
            kept.append(width)
        if i == len(plan.widths) - 1:
            levels.append(_Level(layers, None, None))
            break
        descent = plan.block.descent(width, plan.style, rngs=rngs)
        step: Any = plan.input_pyramid.read(image, width, plan.style, rngs=rngs)
        levels.append(_Level(layers, descent, step))
        image, _ = step.pyramid, kept.append(step.channels)
    return levels, kept


def _decoder(plan: Plan, kept: list[int], rngs: nnx.Rngs) -> list[_Level]:
    """Return the levels from coarse to fine, for an encoder that kept these channels."""
    levels, kept, inputs, image = [], list(kept), kept[-1], 0
    for i, (width, attends) in reversed(list(enumerate(zip(plan.widths, plan.attention, strict=True)))):
        layers = []
        for remaining in reversed(range(plan.blocks + 1)):
            layers.append(_layer(plan, inputs + kept.pop(), width, attends and remaining == 0, rngs))
            inputs = width
        step: Any = plan.output_pyramid.write(image, width, plan.shape[2], plan.style, rngs=rngs)
        ascent = plan.block.ascent(width, plan.style, rngs=rngs) if i else None
        levels.append(_Level(layers, ascent, step))
        image, inputs = step.pyramid, step.channels
    return levels
