"""DDPM's U-Net, as in Song et al. 2021."""

from dataclasses import dataclass, field

from flax import nnx

from sde_jax.nn.activation import Activation, Swish
from sde_jax.nn.blocks import DDPMBlock
from sde_jax.nn.condition import Condition, Unconditional
from sde_jax.nn.ncsnpp import NCSNpp, plan
from sde_jax.nn.normalization import GroupNormalization, Normalization
from sde_jax.nn.scale import OutputScale, Unscaled
from sde_jax.nn.unet import UNet


@dataclass(frozen=True)
class DDPMNet:
    """The U-Net of DDPM: that of `NCSNpp` with DDPM's blocks, no pyramids, plain residual sums, and norms of choice.

    The fields are those of `NCSNpp`, and
    resample_with_conv: whether changes of resolution have a convolution; normalization: everywhere.

    Raises `InputError` where a field is out of range. Ho et al. 2020 (appendix B).
    """

    features: int = 128
    channel_multipliers: tuple[int, ...] = (1, 2, 2, 2)
    blocks_per_level: int = 2
    attention_resolutions: tuple[int, ...] = (16,)
    dropout: float = 0.1
    resample_with_conv: bool = True
    normalization: Normalization = field(default_factory=GroupNormalization)
    activation: Activation = field(default_factory=Swish)
    noise_conditional: bool = True
    centered: bool = True
    scale: OutputScale = field(default_factory=Unscaled)
    condition: Condition = field(default_factory=Unconditional)

    def __post_init__(self):
        _ = self.as_ncsnpp

    @property
    def as_ncsnpp(self) -> NCSNpp:
        """The same network, but for its norms."""
        return NCSNpp(
            features=self.features,
            channel_multipliers=self.channel_multipliers,
            blocks_per_level=self.blocks_per_level,
            attention_resolutions=self.attention_resolutions,
            dropout=self.dropout,
            skip_rescale=False,
            noise_conditional=self.noise_conditional,
            block=DDPMBlock(self.resample_with_conv),
            activation=self.activation,
            centered=self.centered,
            scale=self.scale,
            condition=self.condition,
        )

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape`; raises `InputError` where `NCSNpp.build` does."""
        return UNet(plan(self.as_ncsnpp, tuple(shape), self.normalization), rngs)
