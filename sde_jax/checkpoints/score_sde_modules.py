"""What the official networks of Song et al. 2021 are made of, module by module, and where ours has each.

The official PyTorch code numbers its modules in the order they are made; the Flax code numbers those of each class by
themselves. Both have the same modules in the same order, but for a few without parameters that Flax alone counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sde_jax.checkpoints.official_module import (
    CONV,
    DENSE,
    FILTERED_CONV,
    FREQUENCIES,
    PIXELWISE,
    OfficialModule,
    Part,
    Path,
    official_norm,
)
from sde_jax.checkpoints.refine_net_modules import refine_net_modules
from sde_jax.checkpoints.wide_resnet_modules import wide_resnet_modules
from sde_jax.errors import InputError
from sde_jax.nn import (
    FIR,
    NCSN,
    BigGANBlock,
    DDPMBlock,
    DDPMNet,
    Fourier,
    GroupNormalization,
    InputResidual,
    InputSkip,
    NCSNpp,
    NCSNv2,
    Normalization,
    OutputResidual,
    OutputSkip,
)
from sde_jax.nn.classifiers import WideResNet
from sde_jax.typing import Params


def official_modules(architecture: Any, params: Params) -> list[OfficialModule]:
    """Return the modules of the official network that `architecture` is, in their order.

    params: the parameters of ours, arrays or their shapes: they tell what the levels have. Parts that ours lacks, such
    as the embedding of a block that hears no noise label, are named all the same.
    Raises `InputError` for a network that is none of the official ones.
    """
    if isinstance(architecture, NCSN | NCSNv2):
        return list(refine_net_modules(architecture))
    if isinstance(architecture, WideResNet):
        return list(wide_resnet_modules(architecture))
    if isinstance(architecture, DDPMNet):
        return list(_Official(architecture.as_ncsnpp, architecture.normalization, "").modules(params))
    if isinstance(architecture, NCSNpp):
        return list(_Official(architecture, GroupNormalization(), "pp").modules(params))
    raise InputError(
        f"{type(architecture).__name__} is no network of Song et al. 2021: expected NCSNpp, DDPMNet, NCSN, NCSNv2 or "
        "WideResNet"
    )


@dataclass(frozen=True)
class _Official:
    """How the parts of one network are named; `suffix`: of the classes of its blocks and attention."""

    config: NCSNpp
    normalization: Normalization
    suffix: str

    def modules(self, params: Params) -> Iterator[OfficialModule]:
        if isinstance(self.config.embedding, Fourier):
            yield OfficialModule("GaussianFourierProjection", (Part(("noise_features",), "", FREQUENCIES),))
        if self.config.noise_conditional:
            yield OfficialModule("Dense", (Part(("embedding_in",), "", DENSE),))
            yield OfficialModule("Dense", (Part(("embedding_out",), "", DENSE),))
        yield OfficialModule("Conv", (Part(("conv_in",), "", CONV),))
        levels = len(self.config.channel_multipliers)
        for i in range(levels):
            yield from self.layers(("encoder", i, "layers"), params["encoder"][i]["layers"])
            if i < levels - 1:
                yield from self.descent(("encoder", i))
        yield from self.layers(("middle",), params["middle"])
        for i in range(levels):
            yield from self.layers(("decoder", i, "layers"), params["decoder"][i]["layers"])
            yield from self.writing(("decoder", i, "pyramid", "layer"), coarsest=i == 0)
            if i < levels - 1:
                yield self.change("Upsample", ("decoder", i, "resample"))
        if not isinstance(self.config.output_pyramid, OutputSkip):
            yield from self.to_image(("finish",))

    def layers(self, path: Path, layers: Mapping[int, Params]) -> Iterator[OfficialModule]:
        for j in sorted(layers):
            yield self.block((*path, j, "block"))
            if "attention" in layers[j]:
                yield self.attention((*path, j, "attention"))

    def descent(self, path: Path) -> Iterator[OfficialModule]:
        yield self.change("Downsample", (*path, "resample"))
        if isinstance(self.config.input_pyramid, InputSkip):
            yield OfficialModule("Downsample", listed=False)
            yield OfficialModule("Combine", (Part((*path, "pyramid", "conv"), "Conv_0", CONV),))
        elif isinstance(self.config.input_pyramid, InputResidual):
            yield self.resampling("Downsample", (*path, "pyramid", "layer"))

    def writing(self, path: Path, *, coarsest: bool) -> Iterator[OfficialModule]:
        pyramid = self.config.output_pyramid
        if isinstance(pyramid, OutputSkip) and not coarsest:
            yield OfficialModule("Upsample", listed=False)
        if isinstance(pyramid, OutputSkip) or (isinstance(pyramid, OutputResidual) and coarsest):
            yield from self.to_image(path)
        elif isinstance(pyramid, OutputResidual):
            yield self.resampling("Upsample", path)

    def change(self, kind: str, path: Path) -> OfficialModule:
        """Return what leaves a level, a block or a layer."""
        if not isinstance(self.config.block, DDPMBlock):
            return self.block(path)
        return self.resampling(kind, (*path, "layer")) if self.config.block.resample_with_conv else OfficialModule(kind)

    def resampling(self, kind: str, path: Path) -> OfficialModule:
        """Return a change of resolution with a convolution."""
        if isinstance(self.config.resampling, FIR):
            return OfficialModule(kind, (Part(path, "Conv2d_0", FILTERED_CONV),))
        inner = (*path, "conv") if kind == "Upsample" else path
        return OfficialModule(kind, (Part(inner, "Conv_0", CONV),))

    def block(self, path: Path) -> OfficialModule:
        biggan = isinstance(self.config.block, BigGANBlock)
        return OfficialModule(
            f"ResnetBlock{'BigGAN' if biggan else 'DDPM'}{self.suffix}",
            (
                self.norm((*path, "norm_in"), "_0"),
                Part((*path, "conv_in"), "Conv_0", CONV),
                Part((*path, "embedding"), "Dense_0", DENSE),
                self.norm((*path, "norm_out"), "_1"),
                Part((*path, "conv_out"), "Conv_1", CONV),
                Part((*path, "skip"), "Conv_2" if biggan else "NIN_0", CONV if biggan else PIXELWISE),
            ),
        )

    def attention(self, path: Path) -> OfficialModule:
        layers = [Part((*path, name), f"NIN_{k}", PIXELWISE) for k, name in enumerate(("query", "key", "value", "out"))]
        return OfficialModule(f"AttnBlock{self.suffix}", (self.norm((*path, "norm"), "_0"), *layers))

    def to_image(self, path: Path) -> Iterator[OfficialModule]:
        norm = self.norm((*path, "norm"), "")
        yield OfficialModule(norm.name, (Part(norm.path, "", norm.leaves),))
        yield OfficialModule("Conv", (Part((*path, "conv"), "", CONV),))

    def norm(self, path: Path, number: str) -> Part:
        name, leaves = official_norm(self.normalization)
        return Part(path, name + number, leaves)
