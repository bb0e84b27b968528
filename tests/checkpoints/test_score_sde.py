"""The official networks (Song et al. 2021) as ours: their weights, names, counts, outputs and gradients."""

import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checkpoints import (
    FlaxLayout,
    TorchLayout,
    official_modules,
    official_shapes,
    to_official,
    to_params,
)
from sde_jax.errors import InputError
from sde_jax.nn import (
    FIR,
    MLP,
    BySigma,
    ByTable,
    ClassLabel,
    Concatenate,
    DDPMBlock,
    DDPMNet,
    Fourier,
    InputResidual,
    InputSkip,
    InstanceNormalizationPlus,
    NCSNpp,
    OutputResidual,
    OutputSkip,
    abstract,
)

RECORDED = ["jaxnet_ncsnpp_prog_residual_fir", "net_ddpm", "net_ddpmpp_vp", "net_ncsnpp_ve"]


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(theirs).max()


@pytest.mark.parametrize("name", RECORDED)
def test_output_is_that_of_the_official_network(recorded_network, name):
    network = recorded_network(name)
    with jax.default_matmul_precision("float32"):
        y = jax.jit(jax.vmap(network.apply, in_axes=(None, 0, 0)))(network.params, network.x, network.t)
    assert relative_error(y, network.y) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_gradient_is_that_of_the_official_network_and_its_parameters_matter(recorded_network, name):
    network = recorded_network(name)

    def weighted_sum(params, x, t):
        return jnp.sum(jax.vmap(network.apply, in_axes=(None, 0, 0))(params, x, t) * network.w)

    with jax.default_matmul_precision("float32"):
        gradient = jax.jit(jax.grad(weighted_sum, argnums=(0, 1, 2)))
        by_params, by_x, by_noise = gradient(network.params, network.x, jnp.asarray(network.t, jnp.float32))
    assert relative_error(by_x, network.grad_x) < 1e-4
    slopes = {
        jax.tree_util.keystr(path): np.abs(leaf).max() for path, leaf in jax.tree_util.tree_leaves_with_path(by_params)
    }
    silent = {name for name, slope in slopes.items() if slope < 1e-6 * max(slopes.values())}
    # a bias on keys adds the same to every logit of a pixel, and softmax does not see that; frequencies are frozen
    expected = {name for name in slopes if name.endswith("['key']['bias']") or name == "['noise_features']['W']"}
    assert expected <= silent
    if isinstance(network.architecture, NCSNpp):  # of DDPM's 32 groups many are of one channel, which has no offset
        assert silent == expected
    if network.architecture.noise_conditional and not isinstance(network.architecture.scale, ByTable):
        assert np.all(np.abs(by_noise) > 1e-5)


@pytest.mark.parametrize("name", RECORDED)
def test_weights_come_back_from_ours_in_either_layout(recorded_network, name):
    network = recorded_network(name)
    back = to_official(network.architecture, network.params, network.layout)
    dropped = network.weights.keys() - back.keys()
    assert all(key == "sigmas" or "Dense_0" in key for key in dropped)
    for key, array in back.items():
        np.testing.assert_array_equal(array, network.weights[key])
    flax = to_official(network.architecture, network.params, FlaxLayout())
    again = to_params(network.architecture, network.params, flax, FlaxLayout())
    jax.tree.map(np.testing.assert_array_equal, again, network.params)


@pytest.mark.parametrize("name", ["ncsnpp_ve", "ddpmpp_vp", "ddpm"])
def test_modules_follow_one_another_as_in_the_official_network(golden, recorded_network, name):
    names = json.loads((golden / f"torch_to_flax_modules_{name}.json").read_text())
    network = recorded_network(f"net_{name}")
    modules = official_modules(network.architecture, network.params)
    assert all(module.listed for module in modules)
    assert FlaxLayout().prefixes(modules) == list(names.values())
    assert TorchLayout().prefixes(modules) == [f"all_modules.{number}" for number in names]


VE = NCSNpp(embedding=Fourier(), resampling=FIR(), input_pyramid=InputResidual(), centered=False, scale=BySigma())
VE_DISCRETE = NCSNpp(resampling=FIR(), input_pyramid=InputResidual(), centered=False, scale=ByTable(0.01, 50.0, 1000))
VP = NCSNpp(resampling=FIR(), input_pyramid=InputResidual())
LARGE = dataclasses.replace(
    VE,
    channel_multipliers=(1, 1, 2, 2, 2, 2, 2),
    blocks_per_level=2,
    input_pyramid=InputSkip(),
    output_pyramid=OutputSkip(),
)
LARGEST = dataclasses.replace(LARGE, features=16, channel_multipliers=(1, 2, 4, 8, 16, 32, 32, 32), blocks_per_level=1)
DDPM_LARGE = DDPMNet(channel_multipliers=(1, 1, 2, 2, 4, 4))


def deep(architecture):
    return dataclasses.replace(architecture, blocks_per_level=8)


OFFICIAL = {
    "ve/cifar10_ncsnpp_continuous": (VE, 32),
    "ve/cifar10_ncsnpp": (VE_DISCRETE, 32),
    "ve/cifar10_ncsnpp_deep_continuous": (deep(VE), 32),
    "ve/cifar10_ddpm": (DDPMNet(centered=False, scale=ByTable(0.01, 50.0, 1000)), 32),
    "vp/cifar10_ncsnpp_continuous": (VP, 32),
    "vp/cifar10_ncsnpp_deep_continuous": (deep(VP), 32),
    "vp/cifar10_ddpmpp": (NCSNpp(), 32),
    "vp/cifar10_ddpmpp_continuous": (NCSNpp(), 32),
    "vp/cifar10_ddpmpp_deep_continuous": (deep(NCSNpp()), 32),
    "subvp/cifar10_ddpmpp_continuous": (NCSNpp(), 32),
    "subvp/cifar10_ddpmpp_deep_continuous": (deep(NCSNpp()), 32),
    "vp/ddpm/cifar10": (DDPMNet(), 32),
    "vp/ddpm/cifar10_continuous": (DDPMNet(), 32),
    "ve/celeba_ncsnpp": (dataclasses.replace(VE_DISCRETE, scale=ByTable(0.01, 90.0, 1000)), 64),
    "ve/church_ncsnpp_continuous": (LARGE, 256),
    "ve/ffhq_256_ncsnpp_continuous": (LARGE, 256),
    "ve/ffhq_ncsnpp_continuous": (LARGEST, 1024),
    "vp/ddpm/celebahq": (DDPM_LARGE, 256),
}
FAST = {"ve/cifar10_ncsnpp_continuous", "vp/cifar10_ddpmpp", "vp/ddpm/cifar10"}


@functools.cache
def shapes(architecture, size):
    return abstract(architecture, (size, size, 3))[1]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST)) for n in OFFICIAL])
def test_parameters_are_as_many_as_in_the_official_network(golden, name):
    counts = json.loads((golden / "param_counts.json").read_text())
    assert counts.keys() == OFFICIAL.keys()
    architecture, size = OFFICIAL[name]
    params = shapes(architecture, size)
    leaves = jax.tree.leaves(params)
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    total = sum(math.prod(leaf.shape) for leaf in leaves)
    frozen = math.prod(params["noise_features"]["W"].shape) if "noise_features" in params else 0
    modules = [module for module in official_modules(architecture, params) if module.listed]
    assert counts[name] == {
        "params": total,
        "trainable": total - frozen,
        "modules": len(modules),
        "n_state_keys": len(leaves) + 1,  # with its table of sigmas
    }


def test_names_and_shapes_at_full_size_are_the_official_ones(golden):
    recorded = json.loads((golden / "statedict_layout_ve_cifar10_ncsnpp_continuous.json").read_text())
    theirs = {name: tuple(shape) for name, shape, _ in recorded if name != "sigmas"}
    assert official_shapes(VE, shapes(VE, 32), TorchLayout()) == theirs


def test_trainable_parameters_are_in_the_order_of_the_official_average(golden):
    recorded = json.loads((golden / "ema_shadow_order_ve_cifar10_ncsnpp_continuous.json").read_text())
    names = list(official_shapes(VE, shapes(VE, 32), TorchLayout()))
    assert names == ["all_modules.0.W", *recorded]


TINY = NCSNpp(features=8, channel_multipliers=(1, 2, 2), blocks_per_level=1, attention_resolutions=(4,))
EVERYTHING = dataclasses.replace(
    TINY, block=DDPMBlock(), input_pyramid=InputSkip(Concatenate()), output_pyramid=OutputSkip()
)


def parameters(architecture, seed=0):
    """Some parameters, every one of its own value."""
    leaves, structure = jax.tree.flatten(shapes(architecture, 16))
    rng = np.random.default_rng(seed)
    return jax.tree.unflatten(structure, [rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves])


def test_flax_counts_changes_of_resolution_without_parameters_and_pytorch_does_not():
    modules = official_modules(EVERYTHING, shapes(EVERYTHING, 16))
    flax = official_shapes(EVERYTHING, shapes(EVERYTHING, 16), FlaxLayout())
    # of each level's two, the block's and the pyramid's, only the first has parameters
    assert [name for name in flax if name.startswith("Downsample") and name.endswith("bias")] == [
        "Downsample_0/Conv_0/bias",
        "Downsample_2/Conv_0/bias",
    ]
    assert [name for name in flax if name.startswith("Upsample") and name.endswith("bias")] == [
        "Upsample_0/Conv_0/bias",
        "Upsample_2/Conv_0/bias",
    ]
    numbers = [int(prefix.removeprefix("all_modules.")) for prefix in TorchLayout().prefixes(modules)]
    listed = [number for number, module in zip(numbers, modules, strict=True) if module.listed]
    assert listed == list(range(len(listed)))
    silent = dataclasses.replace(EVERYTHING, block=DDPMBlock(resample_with_conv=False))
    without = [module for module in official_modules(silent, shapes(silent, 16)) if module.listed]
    assert len(without) == len(listed)


@pytest.mark.parametrize("layout", [TorchLayout(), FlaxLayout()])
@pytest.mark.parametrize(
    "architecture",
    [
        TINY,
        EVERYTHING,
        dataclasses.replace(TINY, noise_conditional=False, embedding=Fourier()),
        dataclasses.replace(TINY, resampling=FIR(), input_pyramid=InputResidual(), output_pyramid=OutputResidual()),
        dataclasses.replace(TINY, input_pyramid=InputResidual(), output_pyramid=OutputResidual()),
        dataclasses.replace(TINY, block=DDPMBlock(), resampling=FIR()),
        DDPMNet(features=32, channel_multipliers=(1, 2), blocks_per_level=1, attention_resolutions=()),
    ],
)
def test_every_network_goes_there_and_back(architecture, layout):
    params = parameters(architecture)
    there = to_official(architecture, params, layout)
    assert {name: array.shape for name, array in there.items()} == official_shapes(architecture, params, layout)
    again = to_params(architecture, shapes(architecture, 16), there, layout)
    assert jax.tree.structure(again) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_other_norms_are_there_in_flax_alone():
    plus = DDPMNet(
        features=8,
        channel_multipliers=(1,),
        blocks_per_level=1,
        attention_resolutions=(),
        normalization=InstanceNormalizationPlus(),
    )
    params = parameters(plus)
    there = to_official(plus, params, FlaxLayout())
    assert there["AttnBlock_0/InstanceNorm2dPlus_0/alpha"].shape == (1, 1, 1, 8)
    assert there["InstanceNorm2dPlus_0/gamma"].shape == (1, 1, 1, 8)
    jax.tree.map(np.testing.assert_array_equal, to_params(plus, params, there, FlaxLayout()), params)
    with pytest.raises(InputError, match="GroupNorm alone"):
        to_official(plus, params, TorchLayout())


def test_what_pytorch_keeps_without_use_is_left_out():
    deaf = dataclasses.replace(TINY, noise_conditional=False)
    official = to_official(deaf, parameters(deaf), TorchLayout())
    blocks = {name.split(".")[1] for name in official if "GroupNorm_1" in name}
    unused = {f"all_modules.{n}.Dense_0.{leaf}": np.zeros(3) for n in blocks for leaf in ("weight", "bias")}
    wrapped = {f"module.{name}": array for name, array in {**official, **unused, "sigmas": np.zeros(5)}.items()}
    params = to_params(deaf, shapes(deaf, 16), wrapped, TorchLayout())
    jax.tree.map(np.testing.assert_array_equal, params, parameters(deaf))


def test_weights_of_another_network_are_refused_in_one_line_by_name():
    official = to_official(TINY, parameters(TINY), TorchLayout())
    convs = official.pop("all_modules.2.weight")
    for found, message in (
        (official, r"1 missing \(all_modules\.2\.weight\)"),
        ({**official, "all_modules.2.weight": convs, "extra": convs}, r"1 unexpected \(extra\)"),
        ({**official, "all_modules.2.weight": convs[:, :2]}, r"all_modules\.2\.weight \[8, 2, 3, 3\] there"),
        ({**official, "all_modules.2.weight": convs.ravel()}, r"all_modules\.2\.weight \[216\] there"),
    ):
        with pytest.raises(InputError, match=message) as error:
            to_params(TINY, shapes(TINY, 16), found, TorchLayout())
        assert "\n" not in str(error.value)


def test_networks_that_are_none_of_the_official_ones_are_refused():
    labelled = dataclasses.replace(TINY, condition=ClassLabel(3))
    with pytest.raises(InputError, match=r"conditioning\.table.*without condition"):
        to_official(labelled, parameters(labelled), TorchLayout())
    with pytest.raises(InputError, match="MLP is no network"):
        official_modules(MLP(), {})
