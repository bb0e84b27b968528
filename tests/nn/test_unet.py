import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn import (
    ELU,
    FIR,
    BySigma,
    ByTable,
    Channels,
    ClassLabel,
    DDPMBlock,
    DDPMNet,
    Fourier,
    GroupNormalization,
    InputResidual,
    InputSkip,
    InstanceNormalizationPlus,
    NCSNpp,
    OutputResidual,
    OutputSkip,
    Vector,
    functional,
)

SHAPE = (4, 4, 3)
LEVEL = NCSNpp(features=8, channel_multipliers=(1,), blocks_per_level=1, attention_resolutions=(), init_scale=1.0)
X = jax.random.uniform(jax.random.key(0), SHAPE)
NOISE = jnp.float32(3.0)


def network(**fields):
    return functional(dataclasses.replace(LEVEL, **fields).build(SHAPE, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def plain():
    apply, params = network()
    return jax.jit(apply), params


def test_data_that_are_not_centred_are_mapped_first(plain):
    apply, params = plain
    raw = jax.jit(network(centered=False)[0])
    np.testing.assert_allclose(raw(params, X, NOISE), apply(params, 2 * X - 1, NOISE), rtol=1e-4, atol=1e-5)


def test_the_output_is_divided_by_the_scale_of_the_label(plain):
    apply, params = plain
    y = apply(params, X, NOISE)
    for scale, sigma in ((BySigma(), 3.0), (ByTable(0.01, 100.0, 5), 0.1)):
        np.testing.assert_allclose(sigma * jax.jit(network(scale=scale)[0])(params, X, NOISE), y, rtol=1e-4, atol=1e-5)


def test_a_network_without_noise_label_does_not_hear_it_and_has_no_layers_for_it():
    apply, params = network(noise_conditional=False, embedding=Fourier())
    apply = jax.jit(apply)
    np.testing.assert_array_equal(apply(params, X, NOISE), apply(params, X, 2 * NOISE))
    assert params.keys() & {"embedding_in", "embedding_out"} == set()
    assert params["noise_features"]["W"].shape == (8,)


def test_activations_are_used_everywhere(plain):
    text = str(jax.make_jaxpr(network(activation=ELU())[0])(plain[1], X, NOISE))
    assert "logistic" not in text
    assert "expm1" in text


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (ClassLabel(3), np.int32(0), np.int32(2)),
        (Vector(2), np.float32([1, 2]), np.float32([1, np.nan])),
        (Channels(1), np.ones((4, 4, 1), np.float32), np.zeros((4, 4, 1), np.float32)),
    ],
)
def test_a_condition_is_heard_and_its_null_token_is_none(kind, one, other):
    apply, params = network(condition=kind)
    heard = jax.jit(lambda c: apply(params, X, NOISE, condition=c))
    values = [heard(c) for c in (one, other, kind.null(SHAPE), None)]
    assert np.abs(values[0] - values[1]).max() > 1e-3
    assert np.abs(values[0] - values[2]).max() > 1e-3
    np.testing.assert_allclose(values[2], values[3], rtol=1e-4, atol=1e-5)


def test_a_network_without_noise_label_may_hear_channels_but_no_embedded_condition():
    network(noise_conditional=False, condition=Channels(1))
    for kind in (ClassLabel(3), Vector(2)):
        with pytest.raises(InputError, match=r"condition is .* noise_conditional False: expected"):
            network(noise_conditional=False, condition=kind)


def test_logarithms_of_indices_are_refused():
    with pytest.raises(InputError, match=r"scale is ByTable.*expected BySigma"):
        NCSNpp(embedding=Fourier(), scale=ByTable(0.01, 50.0, 1000))
    NCSNpp(embedding=Fourier(logarithm=False), scale=ByTable(0.01, 50.0, 1000))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features", 6),
        ("channel_multipliers", ()),
        ("blocks_per_level", 0),
        ("attention_resolutions", 16),
        ("dropout", 1.0),
    ],
)
def test_fields_of_ddpm_out_of_range_are_named(name, value):
    with pytest.raises(InputError) as error:
        DDPMNet(**{name: value})
    assert f"{name} is {value!r}" in str(error.value)


def test_ddpm_is_the_u_net_with_its_blocks_and_norms_of_choice():
    fields = {"features": 8, "channel_multipliers": (1,), "blocks_per_level": 1, "attention_resolutions": ()}
    with pytest.raises(InputError, match="8 channels do not split into equal groups, expected a multiple of 32"):
        DDPMNet(**fields).build(SHAPE, rngs=nnx.Rngs(0))
    ddpm = DDPMNet(normalization=GroupNormalization(groups=None), **fields)
    same = NCSNpp(skip_rescale=False, block=DDPMBlock(), **fields)
    (ours, params), (theirs, _) = (functional(a.build(SHAPE, rngs=nnx.Rngs(0))) for a in (ddpm, same))
    np.testing.assert_array_equal(jax.jit(ours)(params, X, NOISE), jax.jit(theirs)(params, X, NOISE))
    plus = DDPMNet(normalization=InstanceNormalizationPlus(), **fields).build(SHAPE, rngs=nnx.Rngs(0))
    assert plus.finish.norm.alpha.shape == (8,)


SILENT = 1e-10


def expected_scale(path, ddpm):
    """The variance of a kernel over that of a layer with unit gain, in the official code."""
    name = path[-2]
    if name in ("query", "key", "value"):
        return 0.1
    if name in ("out", "conv_out") or path[0] == "finish":
        return SILENT
    if path[-4:-1] == ("pyramid", "layer", "conv"):  # what writes images is silent, what begins a residual pyramid not
        return 1.0 if ddpm else SILENT
    return 0.1 if name == "skip" and ddpm else 1.0


@pytest.mark.parametrize("ddpm", [False, True])
def test_every_layer_starts_with_the_variance_of_the_official_one(ddpm):
    architecture = NCSNpp(
        features=32,
        channel_multipliers=(1, 2),
        blocks_per_level=1,
        attention_resolutions=(2,),
        embedding=Fourier(16.0),
        resampling=FIR(),
        block=DDPMBlock() if ddpm else NCSNpp().block,
        input_pyramid=InputResidual() if ddpm else InputSkip(),
        output_pyramid=OutputResidual() if ddpm else OutputSkip(),
    )
    _, params = functional(architecture.build(SHAPE, rngs=nnx.Rngs(0)))
    seen = 0
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        path, values = tuple(key.key for key in keys), np.asarray(leaf, np.float64)
        if path[-1] == "kernel":
            *window, inputs, outputs = values.shape
            unit = 1 / (np.prod(window) * (inputs + outputs) / 2)
            ratio = (values**2).mean() / (unit * expected_scale(path, ddpm))
            assert abs(ratio - 1) < 4 / np.sqrt(values.size), path
            seen += 1
        elif path[-1] == "W":
            assert abs(values.var() / 16.0**2 - 1) < 4 * np.sqrt(2 / values.size)
        else:
            assert np.all(values == (path[-1] == "scale")), path
    assert seen > 40
