"""The networks that the configurations of Song et al. 2021 (their code) name, as ours."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sde_jax.errors import InputError
from sde_jax.nn import (
    ELU,
    FIR,
    NCSN,
    BigGANBlock,
    Bilinear,
    Box,
    BySigma,
    ByTable,
    Concatenate,
    DDPMBlock,
    DDPMNet,
    Fourier,
    GroupNormalization,
    InputResidual,
    InputSkip,
    InstanceNormalization,
    InstanceNormalizationPlus,
    LeakyReLU,
    NCSNpp,
    NCSNv2,
    NCSNv2Deeper,
    NCSNv2Deepest,
    Nearest,
    NoPyramid,
    OutputResidual,
    OutputScale,
    OutputSkip,
    Positional,
    ReLU,
    Sum,
    Swish,
    Unscaled,
    VarianceNormalization,
)

Config = Mapping[str, Any]
ACTIVATIONS = {"elu": ELU, "relu": ReLU, "lrelu": LeakyReLU, "swish": Swish}
NORMALIZATIONS = {
    "GroupNorm": GroupNormalization,
    "InstanceNorm": InstanceNormalization,
    "InstanceNorm++": InstanceNormalizationPlus,
    "VarianceNorm": VarianceNormalization,
}
COMBINATIONS = {"sum": Sum, "cat": Concatenate}
OUTPUTS = {"none": NoPyramid, "output_skip": OutputSkip, "residual": OutputResidual}


INTERPOLATIONS = {"bilinear": Bilinear, "nearest_neighbor": Nearest}


def official_architecture(config: Config) -> NCSNpp | DDPMNet | NCSN | NCSNv2:
    """Return the network of an official configuration, given as {"model.nf": 128, "data.centered": False, ...}.

    Raises `InputError` where the configuration lacks a setting, or names what no official network of these has.
    """
    networks = {
        "ncsnpp": _ncsnpp,
        "ddpm": _ddpm,
        "ncsn": _ncsn,
        "ncsnv2_64": partial(_ncsnv2, NCSNv2),
        "ncsnv2_128": partial(_ncsnv2, NCSNv2Deeper),
        "ncsnv2_256": partial(_ncsnv2, NCSNv2Deepest),
    }
    try:
        return _choice(config, "model.name", networks)(config)
    except KeyError as error:
        raise InputError(f"the configuration has no {error}: expected all of an official configuration") from error


def _choice(config: Config, name: str, choices: Mapping[str, Any]) -> Any:
    value = str(config[name]).lower() if name == "model.nonlinearity" else config[name]
    if value not in choices:
        raise InputError(f"{name} = {config[name]!r}: expected one of {', '.join(choices)}")
    return choices[value]


def _ncsnpp(config: Config) -> NCSNpp:
    fourier = _choice(config, "model.embedding_type", {"fourier": True, "positional": False})
    combination = _choice(config, "model.progressive_combine", COMBINATIONS)
    inputs: dict[str, Callable[[], Any]] = {
        "none": NoPyramid,
        "input_skip": lambda: InputSkip(combination()),
        "residual": InputResidual,
    }
    blocks = {"biggan": BigGANBlock, "ddpm": lambda: DDPMBlock(config["model.resamp_with_conv"])}
    return NCSNpp(
        **_common(config),
        skip_rescale=config["model.skip_rescale"],
        init_scale=config["model.init_scale"],
        embedding=Fourier(config["model.fourier_scale"]) if fourier else Positional(),
        block=_choice(config, "model.resblock_type", blocks)(),
        resampling=FIR(tuple(config["model.fir_kernel"])) if config["model.fir"] else Box(),
        input_pyramid=_choice(config, "model.progressive_input", inputs)(),
        output_pyramid=_choice(config, "model.progressive", OUTPUTS)(),
        scale=_scale(config, BySigma() if fourier else None),
    )


def _ddpm(config: Config) -> DDPMNet:
    return DDPMNet(
        **_common(config),
        resample_with_conv=config["model.resamp_with_conv"],
        normalization=_choice(config, "model.normalization", NORMALIZATIONS)(),
        scale=_scale(config, None),
    )


def _ncsn(config: Config) -> NCSN:
    return NCSN(classes=config["model.num_classes"], **_refining(config))


def _ncsnv2(kind: type[NCSNv2], config: Config) -> NCSNv2:
    return kind(normalization=_choice(config, "model.normalization", NORMALIZATIONS)(), **_refining(config))


def _refining(config: Config) -> dict[str, Any]:
    return {
        "features": config["model.nf"],
        "activation": _choice(config, "model.nonlinearity", ACTIVATIONS)(),
        "interpolation": _choice(config, "model.interpolation", INTERPOLATIONS)(),
        "centered": config["data.centered"],
        "scale": _scale(config, None),
    }


def _common(config: Config) -> dict[str, Any]:
    return {
        "features": config["model.nf"],
        "channel_multipliers": tuple(config["model.ch_mult"]),
        "blocks_per_level": config["model.num_res_blocks"],
        "attention_resolutions": tuple(config["model.attn_resolutions"]),
        "dropout": config["model.dropout"],
        "activation": _choice(config, "model.nonlinearity", ACTIVATIONS)(),
        "noise_conditional": config["model.conditional"],
        "centered": config["data.centered"],
    }


def _scale(config: Config, scale: OutputScale | None) -> OutputScale:
    """Return what the output is divided by: `scale`, or for None a level of the table."""
    if not config["model.scale_by_sigma"]:
        return Unscaled()
    return scale or ByTable(config["model.sigma_min"], config["model.sigma_max"], config["model.num_scales"])
