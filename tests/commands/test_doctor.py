import json

import numpy as np
import pytest

from sde_jax.commands.costs import costs
from sde_jax.experiment import Experiment, Training
from sde_jax.model import Record
from sde_jax.nn import MLP, Compute, KeepBlocks
from sde_jax.training import data_mesh


def test_the_doctor_prints_versions_and_devices(sde_jax):
    shown = dict(line.split(maxsplit=1) for line in sde_jax("doctor").done().out.splitlines())
    assert json.dumps(shown["sde_jax"])
    assert {"python", "jax", "flax", "diffrax", "orbax-checkpoint", "devices"} <= shown.keys()
    assert "cpu" in shown["devices"]


def measured(compute):
    experiment = Experiment(network=MLP(width=64, depth=3), compute=compute, training=Training(batch_size=16))
    return costs(Record(experiment, (8, 8, 1), 17), data_mesh())


def test_costs_are_those_of_the_products_that_a_network_is_made_of():
    plain, thrifty = measured(Compute()), measured(Compute(rematerialization=KeepBlocks()))
    matrices = 2 * 64 * 64 + 128 * 128 + 3 * (2 * 64 * 64 + 128 * 2 * 64)
    vectors = 64 + 128 + 64 + 64 + 3 * (3 * 64 + 2 * 64)
    assert plain.parameters == thrifty.parameters == matrices + vectors
    assert 2 * matrices < plain.evaluation_flops < 2.2 * matrices
    # a backward evaluation is two forward ones; Adam and the average do some twenty operations a parameter
    assert 3 <= plain.step_flops / (16 * plain.evaluation_flops) < 3.8
    assert plain.state == pytest.approx(4 * 4 * plain.parameters + 16 * 64, rel=0.01)
    assert thrifty.kept < 0.7 * plain.kept
    assert thrifty.step_flops > 1.15 * plain.step_flops


def test_the_doctor_examines_a_config_without_its_data(sde_jax):
    arguments = ("doctor", *sde_jax.tiny, "--shape", "8,8,1")
    shown = json.loads(sde_jax(*arguments, "--json").done().out)
    assert shown["parameters"] == 23_344
    assert min(shown.values()) > 0
    table = dict(line.split("  ", 1) for line in sde_jax(*arguments).done().out.splitlines())
    assert table["parameters"].strip() == "23,344"
    np.testing.assert_allclose(float(table["state and batch"].split()[0]), shown["state"] / 2**20, atol=0.05)
    (line,) = sde_jax("doctor", "--config", "configs/ve/cifar10_ncsnpp_continuous.py").problems
    assert line.endswith("or say the shape of an image, as --shape 32,32,3")
