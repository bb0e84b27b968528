"""Which array of an official file is which, from the file itself."""

import flax.serialization
import numpy as np
import pytest

from sde_jax.checkpoints.files import read_checkpoint
from sde_jax.checkpoints.score_sde_file import read_official


@pytest.fixture
def raw(golden):
    path = golden / "official_layout_ckpt_ncsnpp_ve.pth"
    return read_checkpoint(path), read_official(path)


def test_parameters_and_averages_of_a_pytorch_file_are_not_confused(raw):
    content, found = raw
    for name in ("all_modules.0.W", "all_modules.1.weight"):
        np.testing.assert_array_equal(found.params[name], content["model"][f"module.{name}"])
    # the list of averages leaves out the frozen W
    np.testing.assert_array_equal(found.averages["all_modules.1.weight"], content["ema"]["shadow_params"][0])
    assert not np.array_equal(found.averages["all_modules.1.weight"], found.params["all_modules.1.weight"])


def test_the_moments_of_a_pytorch_file_are_not_confused(raw):
    content, found = raw
    slot = content["optimizer"]["state"][1]  # which counts the frozen W
    np.testing.assert_array_equal(found.mean["all_modules.1.weight"], slot["exp_avg"])
    np.testing.assert_array_equal(found.square["all_modules.1.weight"], slot["exp_avg_sq"])


@pytest.mark.parametrize("around", [lambda tree: tree, lambda tree: {"params": tree}], ids=["bare", "in params"])
def test_the_arrays_of_a_flax_file_are_not_confused(tmp_path, around):
    def tree(leaf) -> dict:
        return around({"Conv_0": {"kernel": leaf}})

    of = lambda value: np.full(2, value, np.float32)  # noqa: E731
    slots = tree({"grad_ema": of(3), "grad_sq_ema": of(4)})
    optimizer = {"target": tree(of(1)), "state": {"step": 7, "param_states": slots}}
    path = tmp_path / "checkpoint_1"
    content = {"optimizer": optimizer, "params_ema": tree(of(2)), "step": 7}
    path.write_bytes(flax.serialization.msgpack_serialize(content))
    found = read_official(path)
    values = [arrays["Conv_0/kernel"][0] for arrays in (found.params, found.averages, found.mean, found.square)]
    assert (values, found.step) == ([1, 2, 3, 4], 7)


@pytest.mark.parametrize(
    "network",
    [
        {"Conv_0": {"kernel": np.ones(2, np.float32)}},
        {"params": {"Conv_0": {"kernel": np.ones(2, np.float32)}}},
        {"Conv_0/kernel": np.ones(2, np.float32)},
    ],
    ids=["nested", "in params", "joined"],
)
def test_a_flax_network_alone_is_read_as_its_own_average(tmp_path, network):
    path = tmp_path / "network"
    path.write_bytes(flax.serialization.msgpack_serialize(network))
    found = read_official(path)
    assert list(found.params) == list(found.averages) == ["Conv_0/kernel"]
    assert (found.mean, found.square, found.step) == (None, None, 0)
