"""NCSN++ and DDPM++, the U-Nets of Song et al. 2021."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax.nn import swish
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.nn.attention import AttnBlock
from sde_jax.nn.blocks import ResnetBlockBigGAN
from sde_jax.nn.embeddings import positional
from sde_jax.nn.forward import Forward
from sde_jax.nn.layers import conv3x3, dense
from sde_jax.nn.norms import GroupNorm
from sde_jax.nn.resample import Resample, downsample_mean, upsample_nearest
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class NCSNpp:
    """The U-Net of NCSN++ in its DDPM++ form; the defaults are DDPM++ (continuous) for CIFAR-10.

    Level i has 1 / 2^i of the resolution and features * channel_multipliers[i] channels. The encoder visits
    the levels from fine to coarse and keeps every h; the decoder goes back and reads them, last first:

        encoder   h = conv(x); at each level blocks_per_level times h = attention(block(h)); then h = down(h)
        middle    h = block(attention(block(h)))
        decoder   at each level blocks_per_level + 1 times h = block([h, kept]); then h = up(attention(h))
        output    conv(swish(norm(h)))

    block, down and up are BigGAN residual blocks, each of which hears the noise label through its positional
    embedding, two dense layers of 4 * features and swish. The data are in [-1, 1], the label is 999 t for VP.

    features: channels of the first convolution, a multiple of 4 (of 32 where a block has more than 128)
    channel_multipliers: one a level; blocks_per_level: 4, and 8 in the "deep" networks of the paper
    attention_resolutions: heights of the levels that have attention; the middle always has it
    dropout: probability inside a block; skip_rescale: divide every residual sum by sqrt 2
    init_scale: variance scale of the last layer of each residual branch and of the network; 0 means 1e-10

    Raises `InputError` where a field is out of range.
    Song et al. 2021 (section 4.1 and appendix H), after Ho et al. 2020 (appendix B) and Brock et al. 2019.
    """

    features: int = 128
    channel_multipliers: tuple[int, ...] = (1, 2, 2, 2)
    blocks_per_level: int = 4
    attention_resolutions: tuple[int, ...] = (16,)
    dropout: float = 0.1
    skip_rescale: bool = True
    init_scale: float = 0.0

    def __post_init__(self):
        multiples, heights = self.channel_multipliers, self.attention_resolutions
        _require(
            (
                _is_count(self.features) and self.features % 4 == 0,
                f"features is {self.features!r}, expected a positive multiple of 4",
            ),
            (
                _are_counts(multiples) and len(multiples) > 0,
                f"channel_multipliers is {multiples!r}, expected a tuple of positive integers, one a level",
            ),
            (
                _is_count(self.blocks_per_level),
                f"blocks_per_level is {self.blocks_per_level!r}, expected a positive integer",
            ),
            (
                _are_counts(heights),
                f"attention_resolutions is {heights!r}, expected a tuple of positive integers, or ()",
            ),
            (0 <= self.dropout < 1, f"dropout is {self.dropout!r}, expected a probability below 1"),
            (0 <= self.init_scale < math.inf, f"init_scale is {self.init_scale!r}, expected 0 or more"),
        )

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape` = (height, width, channels).

        Raises `InputError` unless the image is square and halves evenly from level to level, every resolution
        with attention occurs, and `GroupNorm` can group the channels of every block.
        """
        _require(
            (
                len(shape) == 3 and _are_counts(tuple(shape)) and shape[0] == shape[1],
                f"an example has shape {tuple(shape)}, expected a square image (height, width, channels)",
            )
        )
        halvings = len(self.channel_multipliers) - 1
        heights = [shape[0] // 2**level for level in range(halvings + 1)]
        unmet = [height for height in self.attention_resolutions if height not in heights]
        _require(
            (
                shape[0] % 2**halvings == 0,
                f"the height is {shape[0]}, expected a multiple of {2**halvings} (or use fewer levels)",
            ),
            (
                not unmet,
                f"attention_resolutions has {unmet}, expected some of the levels' heights {heights}",
            ),
        )
        return NCSNppNetwork(self, tuple(shape), rngs)


class NCSNppNetwork(nnx.Module):
    """The network that `NCSNpp` describes, for examples of one shape."""

    def __init__(self, config: NCSNpp, shape: tuple[int, ...], rngs: nnx.Rngs):
        self.shape = shape
        self.features = config.features
        parts = _Parts(config, rngs)
        heights = [shape[0] // 2**level for level in range(len(config.channel_multipliers))]
        self.embedding_in = dense(config.features, 4 * config.features, rngs=rngs)
        self.embedding_out = dense(4 * config.features, 4 * config.features, rngs=rngs)
        self.conv_in = conv3x3(shape[2], config.features, rngs=rngs)
        encoder, kept = _encoder(parts, heights)
        self.encoder = nnx.List(encoder)
        self.middle = nnx.List([parts.layer(kept[-1], kept[-1], attends) for attends in (True, False)])
        self.decoder = nnx.List(_decoder(parts, heights, kept))
        self.norm_out = GroupNorm(parts.widths[0])
        self.conv_out = conv3x3(parts.widths[0], shape[2], init_scale=config.init_scale, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "h w c"],
        noise: Float[Array, ""],
        *,
        condition: Array | None = None,
        forward: Forward | None = None,
    ) -> Float[Array, "h w c"]:
        """Return the output for one image `x` at the scalar label `noise`."""
        _require(
            (
                x.shape == self.shape and jnp.ndim(noise) == 0,
                f"called with shapes {x.shape} and {jnp.shape(noise)}, expected one example {self.shape} and "
                "a scalar label; lift the call over a batch with jax.vmap",
            )
        )
        forward = forward or Forward()
        embedding = self.embedding_out(swish(self.embedding_in(positional(noise, self.features)))).astype(x.dtype)
        kept = self._encode(x, embedding, forward)
        h = kept[-1]
        for i, layer in enumerate(self.middle):
            h = forward(f"middle.{i}", layer, h, embedding)
        h = self._decode(h, kept, embedding, forward)
        return self.conv_out(swish(self.norm_out(h)))

    def _encode(self, x: Array, embedding: Array, forward: Forward) -> list[Array]:
        kept = [self.conv_in(x)]
        for i, level in enumerate(self.encoder):
            for j, layer in enumerate(level.layers):
                kept.append(forward(f"encoder.{i}.{j}", layer, kept[-1], embedding))
            if level.resample is not None:
                kept.append(forward(f"encoder.{i}.down", level.resample, kept[-1], embedding))
        return kept

    def _decode(self, h: Array, kept: list[Array], embedding: Array, forward: Forward) -> Array:
        for i, level in enumerate(self.decoder):
            for j, layer in enumerate(level.layers):
                h = forward(f"decoder.{i}.{j}", layer, jnp.concatenate([h, kept.pop()], axis=-1), embedding)
            if level.resample is not None:
                h = forward(f"decoder.{i}.up", level.resample, h, embedding)
        return h


class _Layer(nnx.Module):
    """A block and the attention after it, if any."""

    def __init__(self, block: ResnetBlockBigGAN, attention: AttnBlock | None):
        self.block = block
        self.attention = attention

    def __call__(self, h: Array, embedding: Array, *, key: Key | None) -> Array:
        h = self.block(h, embedding, key=key)
        return h if self.attention is None else self.attention(h)


class _Level(nnx.Module):
    """The layers of one resolution, and the block that leaves it, if any."""

    def __init__(self, layers: list[_Layer], resample: ResnetBlockBigGAN | None):
        self.layers = nnx.List(layers)
        self.resample = resample


@dataclass(frozen=True)
class _Parts:
    """What every part of one network has in common."""

    config: NCSNpp
    rngs: nnx.Rngs

    @property
    def widths(self) -> list[int]:
        return [self.config.features * multiplier for multiplier in self.config.channel_multipliers]

    def block(self, inputs: int, outputs: int, resample: Resample | None = None) -> ResnetBlockBigGAN:
        return ResnetBlockBigGAN(
            inputs,
            outputs,
            embedding_features=4 * self.config.features,
            dropout=self.config.dropout,
            init_scale=self.config.init_scale,
            skip_rescale=self.config.skip_rescale,
            resample=resample,
            rngs=self.rngs,
        )

    def layer(self, inputs: int, outputs: int, attends: bool) -> _Layer:
        block = self.block(inputs, outputs)
        return _Layer(block, self.attention(outputs) if attends else None)

    def attention(self, channels: int) -> AttnBlock:
        return AttnBlock(
            channels,
            init_scale=self.config.init_scale,
            skip_rescale=self.config.skip_rescale,
            rngs=self.rngs,
        )


def _encoder(parts: _Parts, heights: list[int]) -> tuple[list[_Level], list[int]]:
    """Return the levels from fine to coarse, and the channels of everything that they keep, in order."""
    levels, kept = [], [parts.config.features]
    for height, width in zip(heights, parts.widths, strict=True):
        layers = []
        for _ in range(parts.config.blocks_per_level):
            layers.append(parts.layer(kept[-1], width, height in parts.config.attention_resolutions))
            kept.append(width)
        coarsest = height == heights[-1]
        levels.append(_Level(layers, None if coarsest else parts.block(width, width, downsample_mean)))
        kept += [] if coarsest else [width]
    return levels, kept


def _decoder(parts: _Parts, heights: list[int], kept: list[int]) -> list[_Level]:
    """Return the levels from coarse to fine, for an encoder that kept these channels."""
    levels, kept, inputs = [], list(kept), kept[-1]
    for height, width in zip(reversed(heights), reversed(parts.widths), strict=True):
        layers = []
        for remaining in reversed(range(parts.config.blocks_per_level + 1)):
            attends = remaining == 0 and height in parts.config.attention_resolutions
            layers.append(parts.layer(inputs + kept.pop(), width, attends))
            inputs = width
        finest = height == heights[0]
        levels.append(_Level(layers, None if finest else parts.block(width, width, upsample_nearest)))
    return levels


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_counts(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_is_count, values))


def _require(*conditions: tuple[bool, str]) -> None:
    problems = [problem for holds, problem in conditions if not holds]
    if problems:
        raise InputError("NCSNpp: " + "; ".join(problems))
