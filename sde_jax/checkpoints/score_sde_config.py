"""From the values of an official configuration to SDE, network and parameterisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sde_jax.errors import InputError
from sde_jax.nn import (
    ELU,
    FIR,
    NCSN,
    Architecture,
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
from sde_jax.prediction import Deviation, Epsilon, Parameterization, ScaledTime, ScoreFunction, TableLabel
from sde_jax.sde import DDPM, SMLD, VE, VP, GaussianPath, SubVP

ACTIVATIONS = {"elu": ELU(), "relu": ReLU(), "lrelu": LeakyReLU(0.2), "swish": Swish()}
NORMALIZATIONS = {
    "GroupNorm": GroupNormalization(32),
    "InstanceNorm": InstanceNormalization(),
    "InstanceNorm++": InstanceNormalizationPlus(),
    "VarianceNorm": VarianceNormalization(),
}
COMBINATIONS = {"sum": Sum(), "cat": Concatenate()}
INTERPOLATIONS = {"bilinear": Bilinear(), "nearest_neighbor": Nearest(), "nearest": Nearest()}


@dataclass(frozen=True)
class OfficialModel:
    """What an official configuration says of a model: all that is needed to use its weights.

    shape: of an example, (height, width, channels); data_range: the numbers that its data are.
    """

    sde: GaussianPath
    network: Architecture
    parameterization: Parameterization
    shape: tuple[int, int, int]
    data_range: tuple[float, float]


def official_model(config: Mapping[str, Any]) -> OfficialModel:
    """Return the model of an official configuration (Song et al. 2021, their code), given as a plain mapping.

    `config` is nested, {"model": {"nf": 128}}, or flat, {"model.nf": 128}; settings that say nothing of the model may
    be there or not. Raises `InputError`, naming the entry, for one that is missing or that no official network has.
    """
    values = Values(config)
    size = values("data.image_size")
    channels = values("data.num_channels", None) or values("data.channels", 3)
    sde, parameterization = _process(values)
    centered = values("data.centered")
    data_range = (-1.0, 1.0) if centered else (0.0, 1.0)
    return OfficialModel(sde, official_architecture(config), parameterization, (size, size, channels), data_range)


def official_architecture(config: Mapping[str, Any]) -> Architecture:
    """Return the network of an official configuration; raises `InputError` as `official_model` does."""
    values = Values(config)
    return values.choice("model.name", NETWORKS)(values)


class Values:
    """The entries of a configuration, by their dotted names."""

    def __init__(self, config: Mapping[str, Any]):
        self._flat = dict(_flattened(config))

    def __call__(self, name: str, *default: Any) -> Any:
        """Return an entry, or a default; raise `InputError` where there is neither."""
        if name not in self._flat and not default:
            raise InputError(f"config.{name}: missing; expected the values of an official configuration")
        return self._flat.get(name, *default)

    def choice(self, name: str, choices: Mapping[str, Any], *default: Any) -> Any:
        """Return what an entry names; raise `InputError` where it names nothing known."""
        value = self(name, *default)
        known = {key.lower(): choice for key, choice in choices.items()}.get(str(value).lower())
        if known is None:
            raise InputError(f"config.{name} = {value!r}: expected one of {', '.join(choices)}")
        return known


def _flattened(config: Mapping[str, Any], where: str = "") -> Any:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{where}{name}.")
        else:
            yield f"{where}{name}", value


def _process(values: Values) -> tuple[GaussianPath, Parameterization]:
    """Return the path and what the network predicts on it: rows P1 to P4 of the official code's conventions."""
    # NCSN and NCSNv2 know levels alone; one official configuration says "continuous" of them all the same
    continuous = values("training.continuous") and values("model.name") in ("ncsnpp", "ddpm")
    levels = values("model.num_scales")
    betas = (values("model.beta_min", 0.1), values("model.beta_max", 20.0))
    sigmas = (values("model.sigma_min", 0.01), values("model.sigma_max", 50.0))
    scaled, table = ScaledTime(999.0), TableLabel()
    processes: dict[str, Callable[[], tuple[GaussianPath, Parameterization]]] = {
        "vpsde": lambda: (VP(*betas), Epsilon(scaled)) if continuous else (DDPM(*betas, levels), Epsilon(table)),
        "subvpsde": lambda: (SubVP(*betas), Epsilon(scaled)),
        "vesde": lambda: (
            (VE(*sigmas), ScoreFunction(Deviation())) if continuous else (SMLD(*sigmas, levels), ScoreFunction(table))
        ),
    }
    return values.choice("training.sde", processes)()


def _scale(values: Values) -> OutputScale:
    if not values("model.scale_by_sigma"):
        return Unscaled()
    if values("model.embedding_type", "positional") == "fourier" and values("model.name") == "ncsnpp":
        return BySigma()
    return ByTable(values("model.sigma_min"), values("model.sigma_max"), values("model.num_scales"))


def _ncsnpp(values: Values) -> NCSNpp:
    with_conv = values("model.resamp_with_conv", True)
    kernel = tuple(values("model.fir_kernel", (1, 3, 3, 1)))
    combination = values.choice("model.progressive_combine", COMBINATIONS, "sum")
    blocks = {"biggan": BigGANBlock(), "ddpm": DDPMBlock(with_conv)}
    inputs = {"none": NoPyramid(), "input_skip": InputSkip(combination), "residual": InputResidual()}
    outputs = {"none": NoPyramid(), "output_skip": OutputSkip(), "residual": OutputResidual()}
    embeddings = {"fourier": Fourier(values("model.fourier_scale", 16)), "positional": Positional()}
    return NCSNpp(
        features=values("model.nf"),
        channel_multipliers=tuple(values("model.ch_mult")),
        blocks_per_level=values("model.num_res_blocks"),
        attention_resolutions=tuple(values("model.attn_resolutions")),
        dropout=values("model.dropout", 0.0),
        skip_rescale=values("model.skip_rescale"),
        init_scale=values("model.init_scale", 0.0),
        embedding=values.choice("model.embedding_type", embeddings),
        noise_conditional=values("model.conditional"),
        block=values.choice("model.resblock_type", blocks),
        resampling=FIR(kernel) if values("model.fir") else Box(),
        input_pyramid=values.choice("model.progressive_input", inputs),
        output_pyramid=values.choice("model.progressive", outputs),
        activation=values.choice("model.nonlinearity", ACTIVATIONS),
        centered=values("data.centered"),
        scale=_scale(values),
    )


def _ddpm(values: Values) -> DDPMNet:
    return DDPMNet(
        features=values("model.nf"),
        channel_multipliers=tuple(values("model.ch_mult")),
        blocks_per_level=values("model.num_res_blocks"),
        attention_resolutions=tuple(values("model.attn_resolutions")),
        dropout=values("model.dropout", 0.0),
        resample_with_conv=values("model.resamp_with_conv", True),
        normalization=values.choice("model.normalization", NORMALIZATIONS, "GroupNorm"),
        activation=values.choice("model.nonlinearity", ACTIVATIONS),
        noise_conditional=values("model.conditional", True),
        centered=values("data.centered"),
        scale=_scale(values),
    )


def _ncsnv2(values: Values, kind: type[NCSNv2]) -> NCSNv2:
    return kind(
        features=values("model.nf"),
        activation=values.choice("model.nonlinearity", ACTIVATIONS),
        normalization=values.choice("model.normalization", NORMALIZATIONS),
        interpolation=values.choice("model.interpolation", INTERPOLATIONS, "bilinear"),
        centered=values("data.centered"),
        scale=_scale(values),
    )


def _ncsn(values: Values) -> NCSN:
    return NCSN(
        features=values("model.nf"),
        classes=values("model.num_classes", None) or values("model.num_scales"),
        activation=values.choice("model.nonlinearity", ACTIVATIONS),
        interpolation=values.choice("model.interpolation", INTERPOLATIONS, "bilinear"),
        centered=values("data.centered"),
        scale=_scale(values),
    )


NETWORKS: dict[str, Callable[[Values], Architecture]] = {
    "ncsnpp": _ncsnpp,
    "ddpm": _ddpm,
    "ncsn": _ncsn,
    "ncsnv2_64": lambda values: _ncsnv2(values, NCSNv2),
    "ncsnv2_128": lambda values: _ncsnv2(values, NCSNv2Deeper),
    "ncsnv2_256": lambda values: _ncsnv2(values, NCSNv2Deepest),
}
