import jax
import numpy as np
import pytest

from sde_jax.checkpoints import (
    FlaxLayout,
    TorchLayout,
    official_architecture,
    official_modules,
    official_shapes,
    to_official,
    to_params,
)
from sde_jax.errors import InputError
from sde_jax.nn import (
    ELU,
    NCSN,
    ByTable,
    GroupNormalization,
    InstanceNormalization,
    NCSNv2,
    NCSNv2Deeper,
    NCSNv2Deepest,
    Nearest,
    Unscaled,
    VarianceNormalization,
    abstract,
)
from sde_jax.nn.classifiers import WideResNet
from sde_jax.nn.condition import Unconditional


@pytest.mark.parametrize(
    "architecture",
    [
        NCSN(features=4),
        NCSNv2(features=4),
        NCSNv2Deeper(features=4),
        NCSNv2Deepest(features=4),
        NCSNv2(features=8, normalization=GroupNormalization(4)),
        NCSNv2(features=4, normalization=InstanceNormalization()),
        NCSNv2(features=4, normalization=VarianceNormalization()),
        WideResNet(blocks_per_group=2, widening=1),
    ],
)
def test_every_parameter_has_one_official_name_and_comes_back_from_it(architecture):
    _, params = abstract(architecture, (16, 16, 3))
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), params)
    official = to_official(architecture, params, FlaxLayout())
    assert len(official) == len(jax.tree.leaves(params))
    jax.tree.map(np.testing.assert_array_equal, to_params(architecture, params, official, FlaxLayout()), params)


@pytest.mark.parametrize(
    "name",
    [
        "ConditionalResidualBlock_2/ConvMeanPool_1/Conv_0/bias",
        "ConditionalResidualBlock_7/ConditionalInstanceNorm2dPlus_1/Embed_0/embedding",
        "CondRefineBlock_3/CondRCUBlock_2/ConditionalInstanceNorm2dPlus_5/Embed_0/embedding",
        "CondRefineBlock_1/CondMSFBlock_0/ConditionalInstanceNorm2dPlus_1/Embed_0/embedding",
        "CondRefineBlock_0/CondCRPBlock_0/Conv_1/kernel",
        "ConditionalInstanceNorm2dPlus_0/Embed_0/embedding",
    ],
)
def test_the_conditional_network_has_the_names_of_the_official_classes(name):
    assert name in official_shapes(NCSN(), abstract(NCSN(), (16, 16, 3))[1], FlaxLayout())


def test_a_normalisation_of_ones_own_has_no_official_name():
    with pytest.raises(InputError, match="no official counterpart"):
        official_modules(NCSNv2(normalization=Unconditional()), {})


@pytest.mark.parametrize("architecture", [NCSN(features=4), NCSNv2(features=4), WideResNet(blocks_per_group=1)])
def test_pytorch_has_none_of_these_networks(architecture):
    with pytest.raises(InputError, match="expected Flax's file"):
        official_shapes(architecture, abstract(architecture, (16, 16, 3))[1], TorchLayout())


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("ncsn", NCSN(64, 10, ELU(), Nearest(), scale=Unscaled())),
        ("ncsnv2_64", NCSNv2(64, normalization=VarianceNormalization(), interpolation=Nearest(), scale=Unscaled())),
        (
            "ncsnv2_128",
            NCSNv2Deeper(64, normalization=VarianceNormalization(), interpolation=Nearest(), scale=Unscaled()),
        ),
        (
            "ncsnv2_256",
            NCSNv2Deepest(64, normalization=VarianceNormalization(), interpolation=Nearest(), scale=Unscaled()),
        ),
    ],
)
def test_configurations_name_these_networks(name, architecture):
    config = {
        "model.name": name,
        "model.nf": 64,
        "model.num_classes": 10,
        "model.normalization": "VarianceNorm",
        "model.nonlinearity": "elu",
        "model.interpolation": "nearest_neighbor",
        "model.scale_by_sigma": False,
        "data.centered": False,
    }
    assert official_architecture(config) == architecture
    table = {"model.scale_by_sigma": True, "model.sigma_min": 0.1, "model.sigma_max": 2.0, "model.num_scales": 7}
    assert official_architecture(config | table).scale == ByTable(0.1, 2.0, 7)
