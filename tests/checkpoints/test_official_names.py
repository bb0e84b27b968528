import jax
import numpy as np
import pytest

from sde_jax.checkpoints import Correspondence, refine_net_names, transferred, wide_resnet_names
from sde_jax.errors import InputError
from sde_jax.nn import (
    NCSN,
    GroupNormalization,
    InstanceNormalization,
    NCSNv2,
    NCSNv2Deeper,
    NCSNv2Deepest,
    VarianceNormalization,
    WideResNet,
    abstract,
)
from sde_jax.nn.condition import Unconditional


@pytest.mark.parametrize(
    ("names", "architecture"),
    [
        (refine_net_names, NCSN(features=4)),
        (refine_net_names, NCSNv2(features=4)),
        (refine_net_names, NCSNv2Deeper(features=4)),
        (refine_net_names, NCSNv2Deepest(features=4)),
        (refine_net_names, NCSNv2(features=8, normalization=GroupNormalization(4))),
        (refine_net_names, NCSNv2(features=4, normalization=InstanceNormalization())),
        (refine_net_names, NCSNv2(features=4, normalization=VarianceNormalization())),
        (wide_resnet_names, WideResNet(blocks_per_group=2, widening=1)),
    ],
)
def test_every_parameter_has_one_official_name(names, architecture):
    _, params = abstract(architecture, (16, 16, 3))
    paths = {tuple(key.key for key in path) for path, _ in jax.tree.leaves_with_path(params)}
    pairs = list(names(architecture))
    assert {pair.ours for pair in pairs} == paths
    assert len({pair.theirs for pair in pairs}) == len(pairs) == len(paths)


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
    assert name in {pair.theirs for pair in refine_net_names(NCSN())}


def test_parameters_are_converted_to_the_shape_and_dtype_they_have_here():
    params = {"a": [np.zeros(3, np.float32)]}
    pairs = [Correspondence("A", ("a", 0), lambda array: array.reshape(3))]
    out = transferred(pairs, {"A": np.arange(3.0).reshape(1, 1, 3)}, {"a": {0: params["a"][0]}})
    np.testing.assert_array_equal(out["a"][0], [0.0, 1.0, 2.0])
    assert out["a"][0].dtype == np.float32


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({}, r"1 missing \(A\)"),
        ({"A": np.zeros(2), "B": np.zeros(1)}, r"1 unexpected \(B\)"),
        ({"A": np.zeros(3)}, r"A \[3\] there, \[2\] expected"),
    ],
)
def test_parameters_without_counterpart_or_of_another_shape_are_named(theirs, message):
    with pytest.raises(InputError, match=message):
        transferred([Correspondence("A", ("a",))], theirs, {"a": np.zeros(2)})


def test_our_parameters_without_counterpart_are_named():
    with pytest.raises(InputError, match=r"\(b first\) have no counterpart"):
        transferred([Correspondence("A", ("a",))], {"A": np.zeros(2)}, {"a": np.zeros(2), "b": np.zeros(2)})


def test_a_normalisation_of_ones_own_has_no_official_name():
    with pytest.raises(InputError, match="no official counterpart"):
        list(refine_net_names(NCSNv2(normalization=Unconditional())))
