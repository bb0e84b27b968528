from dataclasses import replace

import jax
import pytest
from jax import ShapeDtypeStruct as Shape

from sde_jax import nn
from sde_jax.commands.utilization import step_flops, utilization
from sde_jax.experiment import Experiment, Training
from sde_jax.model import Record
from sde_jax.nn import MLP, Compute, KeepBlocks
from sde_jax.training import data_mesh, flops, product_flops

EXPERIMENT = Experiment(network=MLP(width=16, depth=2), training=Training(batch_size=6))
RECORD = Record(EXPERIMENT, (8, 8, 1), 17)


def test_a_step_costs_up_to_three_evaluations_an_example():
    apply, params = nn.abstract(EXPERIMENT.network, RECORD.shape)
    forward = product_flops(apply, params, Shape(RECORD.shape, "float32"), Shape((), "float32"))
    # The gradient costs two products for each, less those with respect to the image and the noise label.
    assert 2 * 6 * forward < step_flops(RECORD) < 3 * 6 * forward


def test_what_is_computed_again_is_not_counted():
    again = replace(EXPERIMENT, compute=Compute(rematerialization=KeepBlocks()))
    assert step_flops(Record(again, RECORD.shape, RECORD.levels)) == step_flops(RECORD)


def test_a_processor_has_no_utilization_and_nothing_is_traced_for_it(monkeypatch):
    monkeypatch.setattr("sde_jax.commands.utilization.step_flops", lambda record: pytest.fail("traced"))
    assert utilization(RECORD, data_mesh())(1.0) is None


def test_utilization_is_of_the_peak_of_all_devices(monkeypatch):
    mesh = data_mesh()
    monkeypatch.setitem(flops.PEAK_FLOPS, jax.devices()[0].device_kind, 1e9)
    expected = step_flops(RECORD) / (2.0 * mesh.size * 1e9)
    assert utilization(RECORD, mesh)(2.0) == pytest.approx(expected)
