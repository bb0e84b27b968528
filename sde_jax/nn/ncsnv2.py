"""NCSNv2, the networks of Song & Ermon 2020."""

from dataclasses import dataclass, field

from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.activation import ELU, Activation
from sde_jax.nn.interpolation import Bilinear, Interpolation
from sde_jax.nn.normalization import InstanceNormalizationPlus, Normalization
from sde_jax.nn.refine_blocks import Kit, pooled_max
from sde_jax.nn.refine_net import Level, RefineNet
from sde_jax.nn.scale import ByTable, OutputScale


@dataclass(frozen=True)
class NCSNv2:
    """The RefineNet of NCSNv2; the defaults are the network for 32 and 64 pixels, with CIFAR-10's noise levels.

    Level i, from fine to coarse, has features * channel_multipliers[i] channels, and features * refined_multipliers[i]
    once refined, the last as many as before. At dilations[i] = 1 it has half the resolution of the level before it, at
    more the same resolution and convolutions so dilated. Of the noise the network hears by its last step alone, a
    division by `scale`, whose label is a whole number. Data in [0, 1] enter as 2 x - 1, with `centered` as they are.

    Raises `InputError` where a field is out of range. Song & Ermon 2020 (section 3.2, appendix A.1).
    """

    features: int = 128
    channel_multipliers: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 2, 4)
    refined_multipliers: tuple[int, ...] = (1, 2, 2, 2)
    activation: Activation = field(default_factory=ELU)
    normalization: Normalization = field(default_factory=InstanceNormalizationPlus)
    interpolation: Interpolation = field(default_factory=Bilinear)
    centered: bool = False
    scale: OutputScale = field(default_factory=lambda: ByTable(0.01, 50.0, 232))

    def __post_init__(self):
        rows = (self.channel_multipliers, self.dilations, self.refined_multipliers)
        lengths = {len(row) if isinstance(row, tuple) else 0 for row in rows}
        counts = len(lengths) == 1 and 0 not in lengths and all(whole(n, 1) for row in rows for n in row)
        if not whole(self.features, 1) or not counts or rows[0][-1] != rows[2][-1]:
            raise InputError(
                f"{type(self).__name__}: features, channel_multipliers, dilations, refined_multipliers are "
                f"{self.features!r}, {rows[0]!r}, {rows[1]!r}, {rows[2]!r}: expected whole numbers of 1 or more, the "
                "last three one a level, and the last level's multipliers equal"
            )

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape` = (height, width, channels); raises as `RefineNet` does."""
        kit = Kit(
            activation=self.activation,
            interpolation=self.interpolation,
            norm=lambda channels: self.normalization.norm(channels, rngs=rngs),
            refine_norm=lambda channels: None,
            pool=pooled_max,
            rngs=rngs,
        )
        rows = zip(self.channel_multipliers, self.dilations, self.refined_multipliers, strict=True)
        levels = [Level(self.features * wide, dilation, self.features * refined) for wide, dilation, refined in rows]
        return RefineNet(levels, shape, kit, conditional=False, centered=self.centered, scale=self.scale)


@dataclass(frozen=True)
class NCSNv2Deeper(NCSNv2):
    """`NCSNv2` with the levels for 96 to 128 pixels, and LSUN's noise levels."""

    channel_multipliers: tuple[int, ...] = (1, 2, 2, 4, 4)
    dilations: tuple[int, ...] = (1, 1, 1, 2, 4)
    refined_multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    scale: OutputScale = field(default_factory=lambda: ByTable(0.01, 190.0, 1086))


@dataclass(frozen=True)
class NCSNv2Deepest(NCSNv2):
    """`NCSNv2` with the levels for 256 pixels, and FFHQ's noise levels."""

    channel_multipliers: tuple[int, ...] = (1, 2, 2, 2, 4, 4)
    dilations: tuple[int, ...] = (1, 1, 1, 1, 2, 4)
    refined_multipliers: tuple[int, ...] = (1, 1, 2, 2, 2, 4)
    scale: OutputScale = field(default_factory=lambda: ByTable(0.01, 348.0, 2311))
