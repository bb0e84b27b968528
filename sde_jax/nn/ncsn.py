"""NCSN, the network of Song & Ermon 2019."""

from dataclasses import dataclass, field
from typing import ClassVar

from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.activation import ELU, Activation
from sde_jax.nn.instance_norms import ClassInstanceNormPlus
from sde_jax.nn.interpolation import Bilinear, Interpolation
from sde_jax.nn.refine_blocks import Kit, pooled_mean
from sde_jax.nn.refine_net import Level, RefineNet
from sde_jax.nn.scale import OutputScale, Unscaled


@dataclass(frozen=True)
class NCSN:
    """The RefineNet of NCSN: every stage is normalised by a norm that hears the noise label, one of `classes`.

    Four levels of 1, 2, 2 and 2 times `features` channels, the last two dilated by 2 and 4. The label is a whole number
    from 0, the index of a noise level; one beyond the table is taken for the nearest in it. Data in [0, 1] enter as
    2 x - 1, with `centered` as they are.

    Raises `InputError` unless features and classes are whole numbers of 1 or more. Song & Ermon 2019 (appendix A).
    """

    features: int = 128
    classes: int = 10
    activation: Activation = field(default_factory=ELU)
    interpolation: Interpolation = field(default_factory=Bilinear)
    centered: bool = False
    scale: OutputScale = field(default_factory=Unscaled)
    channel_multipliers: ClassVar[tuple[int, ...]] = (1, 2, 2, 2)
    dilations: ClassVar[tuple[int, ...]] = (1, 1, 2, 4)

    def __post_init__(self):
        if not whole(self.features, 1) or not whole(self.classes, 1):
            raise InputError(f"{self}: expected features and classes to be whole numbers of 1 or more")

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape` = (height, width, channels); raises as `RefineNet` does."""

        def norm(channels: int) -> nnx.Module:
            return ClassInstanceNormPlus(channels, self.classes, rngs=rngs)

        kit = Kit(self.activation, self.interpolation, norm, norm, pooled_mean, rngs)
        pairs = zip(self.channel_multipliers, self.dilations, strict=True)
        levels = [Level(self.features * wide, dilation, self.features * wide) for wide, dilation in pairs]
        return RefineNet(levels, shape, kit, conditional=True, centered=self.centered, scale=self.scale)
