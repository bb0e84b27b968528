import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import NCSNpp, functional
from sde_jax.nn.attention import AttnBlock
from sde_jax.nn.blocks import ResnetBlock
from sde_jax.nn.norms import GroupNorm

SMALL = NCSNpp(features=8, channel_multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,), init_scale=1.0)
SHAPE = (8, 8, 3)


def abstract_build(architecture, shape):
    return nnx.eval_shape(lambda: architecture.build(shape, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def network():
    return functional(SMALL.build(SHAPE, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def batch():
    return jax.random.normal(jax.random.key(1), (3, *SHAPE)), jnp.array([0.0, 37.5, 999.0])


def in_official_order(network):
    """The submodules in the order of the official `all_modules`."""
    yield from (network.embedding_in, network.embedding_out, network.conv_in)
    levels = [*network.encoder, network.middle, *network.decoder]
    for level in levels:
        for layer in getattr(level, "layers", level):
            yield layer.block
            if layer.attention is not None:
                yield layer.attention
        if getattr(level, "resample", None) is not None:
            yield level.resample
    yield from (network.finish.norm, network.finish.conv)


OFFICIAL_CLASS = {
    nnx.Linear: "Dense",
    nnx.Conv: "Conv",
    GroupNorm: "GroupNorm",
    ResnetBlock: "ResnetBlockBigGANpp",
    AttnBlock: "AttnBlockpp",
}
OFFICIAL_PART = {
    ResnetBlock: {
        "norm_in": "GroupNorm_0",
        "conv_in": "Conv_0",
        "embedding": "Dense_0",
        "norm_out": "GroupNorm_1",
        "conv_out": "Conv_1",
        "skip": "Conv_2",
    },
    AttnBlock: {"norm": "GroupNorm_0", "query": "NIN_0", "key": "NIN_1", "value": "NIN_2", "out": "NIN_3"},
}


def official_leaves(name, module):
    """Pairs of an official parameter's name and ours, with the official array's conversion."""
    if type(module) in OFFICIAL_PART:
        for part, official in OFFICIAL_PART[type(module)].items():
            if getattr(module, part) is not None:
                yield from official_leaves(f"{name}.{official}", getattr(module, part))
    elif "NIN" in name:
        yield from ((f"{name}.W", module.kernel, np.asarray), (f"{name}.b", module.bias, np.asarray))
    else:
        weight = {
            nnx.Linear: (getattr(module, "kernel", None), np.transpose),
            nnx.Conv: (getattr(module, "kernel", None), lambda oihw: oihw.transpose(2, 3, 1, 0)),
            GroupNorm: (getattr(module, "scale", None), np.asarray),
        }[type(module)]
        yield from ((f"{name}.weight", *weight), (f"{name}.bias", module.bias, np.asarray))


def load_official(network, params):
    """Fill `network` with the official parameters; every parameter of either side must meet its partner."""
    unused = set(params) - {"sigmas"}
    for index, module in enumerate(in_official_order(network)):
        for name, ours, convert in official_leaves(f"all_modules.{index}", module):
            official = convert(params[name])
            assert ours[...].shape == official.shape, name
            ours[...] = jnp.asarray(official)
            unused.remove(name)
    assert not unused


def official_network(recorded):
    """The recorded official network in our modules."""
    config = json.loads(str(recorded["config_json"]))
    size, channels = config["data.image_size"], config["data.num_channels"]
    architecture = NCSNpp(
        features=config["model.nf"],
        channel_multipliers=tuple(config["model.ch_mult"]),
        blocks_per_level=config["model.num_res_blocks"],
        attention_resolutions=tuple(config["model.attn_resolutions"]),
        dropout=config["model.dropout"],
        skip_rescale=config["model.skip_rescale"],
        init_scale=config["model.init_scale"],
    )
    network = architecture.build((size, size, channels), rngs=nnx.Rngs(0))
    load_official(network, {k.removeprefix("param/"): recorded[k] for k in recorded if "param/" in k})
    return network


@pytest.fixture(scope="module")
def official(golden):
    """The official DDPM++ network in our modules, and what it was given and gave back, images NHWC."""
    recorded = np.load(golden / "net_ddpmpp_vp.npz")
    images = {k: jnp.asarray(recorded[k].transpose(0, 2, 3, 1)) for k in ("x", "y", "w", "grad_x")}
    return official_network(recorded), jnp.asarray(recorded["t"]), images


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(theirs).max()


def test_modules_follow_one_another_as_in_the_official_network(golden, official):
    names = json.loads((golden / "torch_to_flax_modules_ddpmpp_vp.json").read_text())
    ours = [OFFICIAL_CLASS[type(module)] for module in in_official_order(official[0])]
    assert ours == [names[str(index)].rsplit("_", 1)[0] for index in range(len(names))]


@pytest.fixture(scope="module")
def official_run(official):
    """Our output y on the official input, and the gradients of sum(y w) by parameters, images and labels."""
    network, t, images = official
    apply, params = functional(network)

    def weighted_sum(params, x, t):
        y = jax.vmap(apply, in_axes=(None, 0, 0))(params, x, t)
        return jnp.sum(y * images["w"]), y

    with jax.default_matmul_precision("float32"):
        run = jax.jit(jax.value_and_grad(weighted_sum, argnums=(0, 1, 2), has_aux=True))
        (_, y), gradients = run(params, images["x"], t)
    return y, *gradients


def test_output_is_that_of_the_official_network(official, official_run):
    assert relative_error(official_run[0], official[2]["y"]) < 1e-5


def test_gradient_is_that_of_the_official_network(official, official_run):
    assert relative_error(official_run[2], official[2]["grad_x"]) < 1e-4


def test_the_label_and_all_parameters_matter_but_a_bias_on_keys(official_run):
    _, by_params, _, by_noise = official_run
    slopes = {
        jax.tree_util.keystr(path): np.abs(leaf).max() for path, leaf in jax.tree_util.tree_leaves_with_path(by_params)
    }
    silent = [name for name, slope in slopes.items() if slope < 1e-6 * max(slopes.values())]
    # it adds the same to every logit of a pixel, and softmax does not see that
    assert silent == [name for name in slopes if name.endswith("['key']['bias']")]
    assert np.all(np.abs(by_noise) > 1e-3)


@pytest.mark.parametrize(
    ("blocks_per_level", "count"), [(4, 61_804_419), pytest.param(8, 106_632_579, marks=pytest.mark.slow)]
)
def test_parameters_are_as_many_as_in_the_official_cifar10_network(blocks_per_level, count):
    leaves = jax.tree.leaves(nnx.state(abstract_build(NCSNpp(blocks_per_level=blocks_per_level), (32, 32, 3))))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == count
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}


def test_vmap_equals_a_loop_and_jit_equals_no_jit(network, batch):
    apply, params = network
    loop = np.stack([apply(params, x, noise) for x, noise in zip(*batch, strict=True)])
    lifted = jax.jit(jax.vmap(apply, in_axes=(None, 0, 0)))(params, *batch)
    assert lifted.shape == batch[0].shape
    assert relative_error(lifted, loop) < 1e-5


def test_no_key_means_no_dropout_and_each_key_its_own(network, batch):
    apply, params = network
    x, noise = batch[0][0], batch[1][1]
    without = apply(params, x, noise)
    first, second = (apply(params, x, noise, key=jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(without, apply(params, x, noise))
    np.testing.assert_array_equal(first, apply(params, x, noise, key=jax.random.key(0)))
    assert relative_error(first, second) > 1e-2
    assert relative_error(first, without) > 1e-2


def test_output_starts_near_zero_with_init_scale_zero(batch):
    silent = dataclasses.replace(SMALL, init_scale=0.0).build(SHAPE, rngs=nnx.Rngs(0))
    y = silent(batch[0][0], batch[1][1])
    assert 0 < np.abs(y).max() < 1e-3


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"features": 0}, ["features"]),
        ({"features": 6}, ["features"]),
        ({"features": 8.0}, ["features"]),
        ({"channel_multipliers": ()}, ["channel_multipliers"]),
        ({"channel_multipliers": (1, 0)}, ["channel_multipliers"]),
        ({"blocks_per_level": 0}, ["blocks_per_level"]),
        ({"attention_resolutions": (-16,)}, ["attention_resolutions"]),
        ({"attention_resolutions": 16}, ["attention_resolutions"]),
        ({"dropout": 1.0}, ["dropout"]),
        ({"dropout": float("nan")}, ["dropout"]),
        ({"init_scale": -1.0}, ["init_scale"]),
        (
            {"features": 0, "blocks_per_level": -1, "dropout": -0.1},
            ["features", "blocks_per_level", "dropout"],
        ),
    ],
)
def test_every_field_out_of_range_is_named_in_one_line(fields, named):
    with pytest.raises(InputError) as error:
        NCSNpp(**fields)
    assert "\n" not in str(error.value)
    assert all(f"{name} is {fields[name]!r}" in str(error.value) for name in named)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (32, 32), "expected a square image"),
        ({}, (32, 16, 3), "expected a square image"),
        ({}, (20, 20, 3), "multiple of 8"),
        ({"attention_resolutions": (16, 5)}, (32, 32, 3), r"has \[5\], expected some of .* \[32, 16, 8, 4\]"),
        ({"attention_resolutions": (16,)}, (12, 12, 3), r"multiple of 8.*; attention_resolutions has \[16\]"),
        ({"features": 36, "attention_resolutions": ()}, (8, 8, 3), "144 channels do not split"),
    ],
)
def test_an_image_that_the_levels_cannot_serve_is_refused(fields, shape, message):
    with pytest.raises(InputError, match=message):
        abstract_build(NCSNpp(blocks_per_level=1, **fields), shape)


def test_a_batch_is_refused_where_one_example_belongs(network, batch):
    apply, params = network
    with pytest.raises(InputError, match=r"jax\.vmap"):
        apply(params, *batch)
    with pytest.raises(InputError, match="scalar label"):
        apply(params, batch[0][0], batch[1])
