"""From the values of an official configuration to SDE, network and parameterisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_collections

from sde_jax.codec import decode
from sde_jax.errors import InputError, shown
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


def official_model(config: Mapping[str, Any] | ml_collections.ConfigDict) -> OfficialModel:
    """Return the model of an official configuration (Song et al. 2021, their code), given as a plain mapping.

    `config` is nested, {"model": {"nf": 128}}, flat, {"model.nf": 128}, or the official `ConfigDict` itself; settings
    that say nothing of the model may be there or not. Raises `InputError`, naming the entry, for one that is missing,
    of another type, or that no official network has.
    """
    values = Values(config)
    size = values("data.image_size", int)
    channels = values("data.num_channels", int | None, None) or values("data.channels", int, 3)
    sde, parameterization = _process(values)
    centered = values("data.centered", bool)
    data_range = (-1.0, 1.0) if centered else (0.0, 1.0)
    return OfficialModel(sde, official_architecture(config), parameterization, (size, size, channels), data_range)


def official_architecture(config: Mapping[str, Any] | ml_collections.ConfigDict) -> Architecture:
    """Return the network of an official configuration; raises `InputError` as `official_model` does."""
    values = Values(config)
    return values.choice("model.name", NETWORKS)(values)


class Values:
    """The entries of a configuration, by their dotted names; raises `InputError` unless it is a mapping."""

    def __init__(self, config: Mapping[str, Any] | ml_collections.ConfigDict):
        config = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
        if not isinstance(config, Mapping):
            raise InputError(f"config is {config!r:.80}: expected the values of an official configuration, a mapping")
        self._flat = dict(_flattened(config))

    def __call__(self, name: str, kind: Any, *default: Any) -> Any:
        """Return an entry of a type, or a default; raise `InputError` where it is of another, or there is neither."""
        if name not in self._flat:
            if not default:
                raise InputError(f"config.{name}: missing; expected the values of an official configuration")
            return default[0]
        value, problems = decode(kind, self._flat[name], where=f"config.{name}")
        if problems:
            raise InputError("\n".join(problems))
        return value

    def choice(self, name: str, choices: Mapping[str, Any], *default: Any) -> Any:
        """Return what an entry names; raise `InputError` where it names nothing known."""
        value = self(name, Any, *default)
        known = {key.lower(): choice for key, choice in choices.items()}.get(str(value).lower())
        if known is None:
            raise InputError(f"config.{name} = {shown(repr(value))}: expected one of {', '.join(choices)}")
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
    continuous = values("training.continuous", bool) and _is(values, "model.name", "ncsnpp", "ddpm")
    if not continuous and _has_fourier_features(values):
        raise InputError(
            "config.model.embedding_type = 'fourier' takes the logarithm of labels, which config.training.continuous = "
            "False numbers from 0: expected 'positional', or continuous = True"
        )
    levels = values("model.num_scales", int)
    betas = (values("model.beta_min", float, 0.1), values("model.beta_max", float, 20.0))
    sigmas = (values("model.sigma_min", float, 0.01), values("model.sigma_max", float, 50.0))
    scaled, table = ScaledTime(999.0), TableLabel()
    processes: dict[str, Callable[[], tuple[GaussianPath, Parameterization]]] = {
        "vpsde": lambda: (VP(*betas), Epsilon(scaled)) if continuous else (DDPM(*betas, levels), Epsilon(table)),
        "subvpsde": lambda: (SubVP(*betas), Epsilon(scaled)),
        "vesde": lambda: (
            (VE(*sigmas), ScoreFunction(Deviation())) if continuous else (SMLD(*sigmas, levels), ScoreFunction(table))
        ),
    }
    return values.choice("training.sde", processes)()


def _has_fourier_features(values: Values) -> bool:
    return _is(values, "model.name", "ncsnpp") and _is(values, "model.embedding_type", "fourier")


def _is(values: Values, name: str, *texts: str) -> bool:
    return str(values(name, Any, "")).lower() in texts


def _scale(values: Values) -> OutputScale:
    if not values("model.scale_by_sigma", bool):
        return Unscaled()
    if _has_fourier_features(values):
        return BySigma()
    return ByTable(values("model.sigma_min", float), values("model.sigma_max", float), values("model.num_scales", int))


def _ncsnpp(values: Values) -> NCSNpp:
    with_conv = values("model.resamp_with_conv", bool, True)
    kernel = values("model.fir_kernel", tuple[float, ...], (1, 3, 3, 1))
    combination = values.choice("model.progressive_combine", COMBINATIONS, "sum")
    blocks = {"biggan": BigGANBlock(), "ddpm": DDPMBlock(with_conv)}
    inputs = {"none": NoPyramid(), "input_skip": InputSkip(combination), "residual": InputResidual()}
    outputs = {"none": NoPyramid(), "output_skip": OutputSkip(), "residual": OutputResidual()}
    embeddings = {"fourier": Fourier(values("model.fourier_scale", float, 16)), "positional": Positional()}
    return NCSNpp(
        **_u_net(values),
        skip_rescale=values("model.skip_rescale", bool),
        init_scale=values("model.init_scale", float, 0.0),
        embedding=values.choice("model.embedding_type", embeddings),
        block=values.choice("model.resblock_type", blocks),
        resampling=FIR(kernel) if values("model.fir", bool) else Box(),
        input_pyramid=values.choice("model.progressive_input", inputs),
        output_pyramid=values.choice("model.progressive", outputs),
    )


def _ddpm(values: Values) -> DDPMNet:
    return DDPMNet(
        **_u_net(values),
        resample_with_conv=values("model.resamp_with_conv", bool, True),
        normalization=values.choice("model.normalization", NORMALIZATIONS, "GroupNorm"),
    )


def _ncsnv2(values: Values, kind: type[NCSNv2]) -> NCSNv2:
    return kind(**_refine_net(values), normalization=values.choice("model.normalization", NORMALIZATIONS))


def _ncsn(values: Values) -> NCSN:
    classes = values("model.num_classes", int | None, None) or values("model.num_scales", int)
    return NCSN(**_refine_net(values), classes=classes)


def _u_net(values: Values) -> dict[str, Any]:
    return _network(values) | {
        "channel_multipliers": values("model.ch_mult", tuple[int, ...]),
        "blocks_per_level": values("model.num_res_blocks", int),
        "attention_resolutions": values("model.attn_resolutions", tuple[int, ...]),
        "dropout": values("model.dropout", float, 0.0),
        "noise_conditional": values("model.conditional", bool, True),
    }


def _refine_net(values: Values) -> dict[str, Any]:
    return _network(values) | {"interpolation": values.choice("model.interpolation", INTERPOLATIONS, "bilinear")}


def _network(values: Values) -> dict[str, Any]:
    return {
        "features": values("model.nf", int),
        "activation": values.choice("model.nonlinearity", ACTIVATIONS),
        "centered": values("data.centered", bool),
        "scale": _scale(values),
    }


NETWORKS: dict[str, Callable[[Values], Architecture]] = {
    "ncsnpp": _ncsnpp,
    "ddpm": _ddpm,
    "ncsn": _ncsn,
    "ncsnv2_64": lambda values: _ncsnv2(values, NCSNv2),
    "ncsnv2_128": lambda values: _ncsnv2(values, NCSNv2Deeper),
    "ncsnv2_256": lambda values: _ncsnv2(values, NCSNv2Deepest),
}
