"""NCSN++ and DDPM++, the U-Nets of Song et al. 2021."""

import math
from dataclasses import dataclass, field

from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.activation import Activation, Swish
from sde_jax.nn.blocks import BigGANBlock, BlockType, Style
from sde_jax.nn.condition import Condition, Unconditional
from sde_jax.nn.embeddings import Embedding, Fourier, Positional
from sde_jax.nn.normalization import GroupNormalization, Normalization
from sde_jax.nn.pyramid import InputPyramid, NoPyramid, OutputPyramid
from sde_jax.nn.resample import Box, Resampling
from sde_jax.nn.scale import ByTable, OutputScale, Unscaled
from sde_jax.nn.unet import Plan, UNet


@dataclass(frozen=True)
class NCSNpp:
    """The U-Net of NCSN++ (`UNet`); the defaults are DDPM++ (continuous) for CIFAR-10.

    NCSN++ (continuous, VE) has embedding Fourier(), resampling FIR(), input_pyramid InputResidual(), scale BySigma()
    and centered False; at 256 pixels and beyond InputSkip() and OutputSkip().

    features: channels of the first convolution, a multiple of 4 (of 32 where a block has more than 128)
    channel_multipliers: of the features, one a level; blocks_per_level: 4, and 8 in the "deep" networks of the paper
    attention_resolutions: heights of the levels that have attention; the middle always has it
    dropout: probability inside a block; skip_rescale: divide every residual sum by sqrt 2
    init_scale: variance scale of the last layer of each residual branch and of the network; 0 means 1e-10
    embedding: what the noise label enters as; noise_conditional: whether it enters at all
    block: the kind of residual block; resampling: how it, and the pyramids, change resolution
    input_pyramid, output_pyramid: images at all resolutions that the levels read and write
    activation: everywhere; centered: whether data are in [-1, 1], rather than [0, 1]
    scale: what the output is divided by; condition: what else the network is told

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
    embedding: Embedding = field(default_factory=Positional)
    noise_conditional: bool = True
    block: BlockType = field(default_factory=BigGANBlock)
    resampling: Resampling = field(default_factory=Box)
    input_pyramid: InputPyramid = field(default_factory=NoPyramid)
    output_pyramid: OutputPyramid = field(default_factory=NoPyramid)
    activation: Activation = field(default_factory=Swish)
    centered: bool = True
    scale: OutputScale = field(default_factory=Unscaled)
    condition: Condition = field(default_factory=Unconditional)

    def __post_init__(self):
        require_ranges(self)

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape` = (height, width, channels).

        Raises `InputError` unless the image is square and halves evenly from level to level, every resolution
        with attention occurs, `GroupNorm` can group the channels of every block, and the condition can be heard.
        """
        return UNet(plan(self, tuple(shape), GroupNormalization(groups=None)), rngs)


def plan(config: NCSNpp, shape: tuple[int, ...], normalization: Normalization) -> Plan:
    """Return the U-Net of `config` with these norms, for examples of `shape`; raises `InputError` as `build` does."""
    heights = _heights(config, shape)
    return Plan(
        shape=shape,
        features=config.features,
        widths=tuple(config.features * multiplier for multiplier in config.channel_multipliers),
        attention=tuple(height in config.attention_resolutions for height in heights),
        blocks=config.blocks_per_level,
        style=Style(
            embedding=4 * config.features if config.noise_conditional else None,
            dropout=config.dropout,
            init_scale=config.init_scale,
            skip_rescale=config.skip_rescale,
            activation=config.activation,
            normalization=normalization,
            resampling=config.resampling,
        ),
        block=config.block,
        input_pyramid=config.input_pyramid,
        output_pyramid=config.output_pyramid,
        embedding=config.embedding,
        centered=config.centered,
        scale=config.scale,
        condition=config.condition,
    )


def require_ranges(config: NCSNpp) -> None:
    """Raise one `InputError` that names every field out of range."""
    multiples, heights = config.channel_multipliers, config.attention_resolutions
    _require(
        (
            whole(config.features, 4) and config.features % 4 == 0,
            f"features is {config.features!r}, expected a positive multiple of 4",
        ),
        (
            _are_counts(multiples) and len(multiples) > 0,
            f"channel_multipliers is {multiples!r}, expected a tuple of positive integers, one a level",
        ),
        (
            whole(config.blocks_per_level, 1),
            f"blocks_per_level is {config.blocks_per_level!r}, expected a positive integer",
        ),
        (_are_counts(heights), f"attention_resolutions is {heights!r}, expected a tuple of positive integers, or ()"),
        (0 <= config.dropout < 1, f"dropout is {config.dropout!r}, expected a probability below 1"),
        (0 <= config.init_scale < math.inf, f"init_scale is {config.init_scale!r}, expected 0 or more"),
        (
            not (isinstance(config.embedding, Fourier) and config.embedding.logarithm)
            or not isinstance(config.scale, ByTable),
            f"scale is {config.scale}, of labels 0, 1, ..., with embedding {config.embedding}, of their logarithms: "
            "expected BySigma(), or embedding Positional()",
        ),
    )


def _heights(config: NCSNpp, shape: tuple[int, ...]) -> list[int]:
    _require(
        (
            len(shape) == 3 and _are_counts(shape) and shape[0] == shape[1],
            f"an example has shape {shape}, expected a square image (height, width, channels)",
        )
    )
    halvings = len(config.channel_multipliers) - 1
    heights = [shape[0] // 2**level for level in range(halvings + 1)]
    unmet = [height for height in config.attention_resolutions if height not in heights]
    _require(
        (
            shape[0] % 2**halvings == 0,
            f"the height is {shape[0]}, expected a multiple of {2**halvings} (or use fewer levels)",
        ),
        (not unmet, f"attention_resolutions has {unmet}, expected some of the levels' heights {heights}"),
    )
    return heights


def _are_counts(values: object) -> bool:
    return isinstance(values, tuple) and all(whole(value, 1) for value in values)


def _require(*conditions: tuple[bool, str]) -> None:
    problems = [problem for holds, problem in conditions if not holds]
    if problems:
        raise InputError("U-Net: " + "; ".join(problems))
