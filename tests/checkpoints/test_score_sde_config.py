import dataclasses

import ml_collections
import pytest

from sde_jax.checkpoints import official_architecture
from sde_jax.errors import InputError
from sde_jax.nn import (
    ELU,
    FIR,
    Box,
    BySigma,
    ByTable,
    Concatenate,
    DDPMBlock,
    DDPMNet,
    Fourier,
    InputResidual,
    InputSkip,
    InstanceNormalizationPlus,
    NCSNpp,
    OutputSkip,
    Positional,
    Unscaled,
)

VE = NCSNpp(embedding=Fourier(), resampling=FIR(), input_pyramid=InputResidual(), centered=False, scale=BySigma())
LARGE = dataclasses.replace(
    VE,
    channel_multipliers=(1, 1, 2, 2, 2, 2, 2),
    blocks_per_level=2,
    input_pyramid=InputSkip(),
    output_pyramid=OutputSkip(),
)


def official_config(**settings):
    """The settings of the official ve/cifar10_ncsnpp_continuous."""
    defaults = {
        "model.name": "ncsnpp",
        "model.nf": 128,
        "model.ch_mult": (1, 2, 2, 2),
        "model.num_res_blocks": 4,
        "model.attn_resolutions": (16,),
        "model.dropout": 0.1,
        "model.nonlinearity": "swish",
        "model.conditional": True,
        "model.normalization": "GroupNorm",
        "model.resamp_with_conv": True,
        "model.skip_rescale": True,
        "model.init_scale": 0.0,
        "model.embedding_type": "fourier",
        "model.fourier_scale": 16,
        "model.resblock_type": "biggan",
        "model.fir": True,
        "model.fir_kernel": [1, 3, 3, 1],
        "model.progressive": "none",
        "model.progressive_input": "residual",
        "model.progressive_combine": "sum",
        "model.scale_by_sigma": True,
        "model.sigma_min": 0.01,
        "model.sigma_max": 50.0,
        "model.num_scales": 1000,
        "data.centered": False,
    }
    return defaults | {f"model.{name}": value for name, value in settings.items()}


def test_an_official_configuration_names_a_network():
    assert official_architecture(official_config()) == VE
    assert official_architecture(official_config(embedding_type="positional")) == dataclasses.replace(
        VE, embedding=Positional(), scale=ByTable(0.01, 50.0, 1000)
    )
    large = official_config(
        ch_mult=(1, 1, 2, 2, 2, 2, 2), num_res_blocks=2, progressive="output_skip", progressive_input="input_skip"
    )
    assert official_architecture(large) == LARGE
    combined = official_architecture({**large, "model.progressive_combine": "cat", "model.fir": False})
    assert combined == dataclasses.replace(LARGE, input_pyramid=InputSkip(Concatenate()), resampling=Box())
    ddpm = official_config(name="ddpm", num_res_blocks=2, nonlinearity="ELU", normalization="InstanceNorm++")
    assert official_architecture(ddpm) == DDPMNet(
        activation=ELU(),
        normalization=InstanceNormalizationPlus(),
        centered=False,
        scale=ByTable(0.01, 50.0, 1000),
    )
    blocks = official_config(resblock_type="ddpm", resamp_with_conv=False, conditional=False, scale_by_sigma=False)
    assert official_architecture(blocks) == dataclasses.replace(
        VE, block=DDPMBlock(resample_with_conv=False), noise_conditional=False, scale=Unscaled()
    )


def test_a_configuration_that_names_none_is_refused():
    with pytest.raises(InputError, match=r"model\.progressive = 'up': expected one of none, output_skip, residual"):
        official_architecture(official_config(progressive="up"))
    with pytest.raises(InputError, match=r"model\.name = 'ncsnv3'"):
        official_architecture(official_config(name="ncsnv3"))
    with pytest.raises(InputError, match=r"config\.data\.centered: missing"):
        official_architecture({key: value for key, value in official_config().items() if key != "data.centered"})


def test_the_official_config_dict_will_do():
    nested = ml_collections.ConfigDict({"model": {}, "data": {}})
    for name, value in official_config().items():
        group, key = name.split(".")
        nested[group][key] = value
    assert official_architecture(nested) == VE


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"nf": "many"}, r"config\.model\.nf = 'many': expected int"),
        ({"nf": None}, r"config\.model\.nf = None: expected int"),
        ({"dropout": "a bit"}, r"config\.model\.dropout = 'a bit': expected float"),
        ({"dropout": float("nan")}, r"config\.model\.dropout = nan: expected float"),
        ({"ch_mult": 2}, r"config\.model\.ch_mult = 2: expected tuple\[int"),
        ({"attn_resolutions": [[16]]}, r"config\.model\.attn_resolutions = \[\[16\]\]: expected tuple\[int"),
        ({"fir_kernel": None}, r"config\.model\.fir_kernel = None: expected tuple\[float"),
        ({"scale_by_sigma": "perhaps"}, r"config\.model\.scale_by_sigma = 'perhaps': expected bool"),
    ],
)
def test_an_entry_of_another_type_is_named(changes, told):
    with pytest.raises(InputError, match=told) as error:
        official_architecture(official_config(**changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", [None, 5, "official.json", [1]])
def test_values_are_a_mapping(config):
    with pytest.raises(InputError, match="expected the values of an official configuration, a mapping"):
        official_architecture(config)
