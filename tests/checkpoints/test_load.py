"""Official checkpoints as models."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from sde_jax.checkpoints import (
    load_score_sde,
    official_model,
    official_weights,
    read_official,
    unflatten,
    write_safetensors,
)
from sde_jax.errors import InputError
from sde_jax.nn import functional
from sde_jax.sde import DDPM, SMLD, VE, VP, SubVP

CHECKPOINT = "official_layout_ckpt_ncsnpp_ve.pth"


@pytest.fixture(scope="module")
def config(golden):
    return json.loads(str(np.load(golden / "net_ncsnpp_ve.npz")["config_json"]))


def nested(config):
    return unflatten({name.replace(".", "/"): value for name, value in config.items()})


def test_the_average_is_the_model_and_the_last_weights_are_there_too(golden, config):
    content = read_official(golden / CHECKPOINT)
    official = official_model(nested(config))
    weights = official_weights(content, official.network, official.shape, CHECKPOINT)
    assert weights.step == 6
    assert isinstance(official.sde, VE)
    assert official.data_range == (0.0, 1.0)
    for tree, named in ((weights.params, content.params), (weights.averages, content.averages)):
        kernel = named["all_modules.1.weight"]
        np.testing.assert_array_equal(tree["embedding_in"]["kernel"], kernel.T)
        np.testing.assert_array_equal(tree["noise_features"]["W"], named["all_modules.0.W"])
    assert not np.array_equal(weights.params["conv_in"]["kernel"], weights.averages["conv_in"]["kernel"])
    assert not np.any(weights.mean["noise_features"]["W"])  # frozen
    assert all(np.all(leaf >= 0) for leaf in jax.tree.leaves(weights.square))


@pytest.mark.parametrize("averaged", [True, False])
def test_the_weights_are_the_averages_unless_told_otherwise(golden, config, averaged):
    _, model, _ = load_score_sde(golden / CHECKPOINT, config, averaged=averaged)
    content, (_, params) = read_official(golden / CHECKPOINT), functional(model)
    kernel = (content.averages if averaged else content.params)["all_modules.1.weight"]
    np.testing.assert_array_equal(params["embedding_in"]["kernel"], kernel.T)


@pytest.mark.parametrize(
    "name",
    [
        "net_ncsnpp_ve",
        pytest.param("net_ddpm", marks=pytest.mark.slow),
        pytest.param("jaxnet_ncsnpp_prog_residual_fir", marks=pytest.mark.slow),
    ],
)
def test_a_recorded_network_loads_and_computes_what_was_recorded(golden, recorded_network, tmp_path, name):
    network = recorded_network(name)
    if name.startswith("net_"):
        write_safetensors(tmp_path / "weights", network.weights, {})
    else:
        tree = unflatten(network.weights)
        state = {"step": 3, "params_ema": tree, "optimizer": {"target": tree}}
        (tmp_path / "weights").write_bytes(serialization.msgpack_serialize(state))
    config = json.loads(str(np.load(golden / f"{name}.npz")["config_json"]))
    sde, model, denoise = load_score_sde(tmp_path / "weights", config)
    x, t = jnp.asarray(network.x), jnp.asarray(network.t, jnp.float32)
    scale = np.abs(network.y).max()
    np.testing.assert_allclose(jax.jit(jax.vmap(model))(x, t), network.y, atol=1e-5 * scale)
    # on the VE SDE the network's output is the score at the time whose sigma is the label
    time = sde.time_of(-jnp.log(t[0]))
    score = (denoise(x[0], time) - x[0]) / sde.variance(time)
    np.testing.assert_allclose(score, network.y[0], atol=1e-3 * scale)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training.sde": "vpsde"}, VP(0.1, 20.0)),
        ({"training.sde": "subvpsde"}, SubVP(0.1, 20.0)),
        (
            {"training.sde": "vpsde", "training.continuous": False, "model.embedding_type": "positional"},
            DDPM(0.1, 20.0, 1000),
        ),
        ({"training.continuous": False, "model.embedding_type": "positional"}, SMLD(0.01, 50.0, 1000)),
        ({"training.continuous": True, "model.name": "ncsnv2_64"}, SMLD(0.01, 50.0, 1000)),
        ({"model.name": "NCSNpp"}, VE(0.01, 50.0)),
    ],
)
def test_the_process_is_the_one_that_the_configuration_names(config, changes, expected):
    assert official_model({**config, **changes}).sde == expected


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model.name": "ncsnppp"}, "config.model.name = 'ncsnppp': expected one of ncsnpp, ddpm, ncsn"),
        ({"training.sde": "ve"}, "config.training.sde = 've': expected one of vpsde, subvpsde, vesde"),
        ({"model.progressive": ["none"]}, "config.model.progressive = .*: expected one of none, output_skip, residual"),
        ({"model.nf": 18}, "features is 18, expected a positive multiple of 4"),
        ({"training.continuous": False}, "config.model.embedding_type = 'fourier' takes the logarithm of labels"),
        ({"data.image_size": "16 pixels"}, "config.data.image_size = '16 pixels': expected int"),
        ({"model.sigma_max": "large"}, "config.model.sigma_max = 'large': expected float"),
    ],
)
def test_a_configuration_of_no_official_network_is_refused(config, changes, told):
    with pytest.raises(InputError, match=told):
        official_model({**config, **changes})


def test_what_a_configuration_lacks_is_named(config):
    with pytest.raises(InputError, match=r"config\.model\.nf: missing"):
        official_model({name: value for name, value in config.items() if name != "model.nf"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model.nf": 32}, r"of another shape \(all_modules"),
        ({"model.num_res_blocks": 2}, "missing"),
        ({"model.progressive_input": "none"}, "unexpected"),
        ({"model.name": "ddpm", "model.nf": 32}, "not the weights of this network"),
    ],
)
def test_weights_of_another_network_are_refused_by_their_first_differences(golden, config, changes, told):
    with pytest.raises(InputError, match=told) as error:
        load_score_sde(golden / CHECKPOINT, {**config, **changes})
    assert CHECKPOINT in str(error.value)
    assert "\n" not in str(error.value)


def test_an_average_of_other_weights_is_refused(golden, tmp_path, config):
    params = read_official(golden / CHECKPOINT).params
    flat = {"params_ema": {"Conv_0": {"kernel": np.full((3, 3), np.nan)}}}
    (tmp_path / "flax").write_bytes(serialization.msgpack_serialize(flat))
    with pytest.raises(InputError, match="not the weights of this network"):
        load_score_sde(tmp_path / "flax", config)
    first = next(name for name in params if name.endswith("weight"))
    write_safetensors(tmp_path / "nan", {**params, first: np.full_like(params[first], np.nan)}, {})
    with pytest.raises(InputError, match="holds NaN or infinity"):
        load_score_sde(tmp_path / "nan", config)


@pytest.mark.parametrize("content", [{"a": np.ones(3)}, {"model": {"all_modules.0.W": 3}}, {"params_ema": 5}])
def test_a_file_of_something_else_is_refused(tmp_path, config, content):
    (tmp_path / "file").write_bytes(serialization.msgpack_serialize(content))
    with pytest.raises(InputError, match="file"):
        load_score_sde(tmp_path / "file", config)
