import json

import jax
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.commands.costs import costs
from sde_jax.commands.train import compiled_step
from sde_jax.commands.workdir import abstract_state
from sde_jax.experiment import Experiment, Training
from sde_jax.model import Record
from sde_jax.nn import MLP, Compute, KeepBlocks
from sde_jax.training import data_mesh


def test_the_doctor_prints_versions_and_devices(sde_jax):
    shown = dict(line.split(maxsplit=1) for line in sde_jax("doctor").done().out.splitlines())
    assert json.dumps(shown["sde_jax"])
    assert {"python", "jax", "flax", "diffrax", "orbax-checkpoint", "devices"} <= shown.keys()
    assert "cpu" in shown["devices"]


def measured(compute=None, compiled=False, **training):
    experiment = Experiment(
        network=MLP(width=64, depth=3), compute=compute or Compute(), training=Training(batch_size=16, **training)
    )
    return costs(Record(experiment, (8, 8, 1), 17), data_mesh(), compiled)


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
    # of a batch in four parts one is worked on at a time
    assert measured(accumulate=4).kept == plain.kept // 4


def test_only_what_the_compiler_alone_can_tell_is_compiled_for(monkeypatch):
    """The arguments of the compiled step are the state and the batch, to the byte."""
    found = measured(compiled=True)
    assert found.temporaries > 0
    assert found.compile_seconds > 0
    experiment = Experiment(network=MLP(width=64, depth=3), training=Training(batch_size=16))
    record, mesh = Record(experiment, (8, 8, 1), 17), data_mesh()
    apply, _ = nn.abstract(experiment.network, record.shape)
    lowered = compiled_step(record, apply, mesh).one.lower(abstract_state(record, mesh), record.batch(16))
    assert found.state == pytest.approx(lowered.compile().memory_analysis().argument_size_in_bytes, abs=64)

    def refused(*_, **__):
        raise AssertionError("compiled")

    monkeypatch.setattr(jax.stages.Lowered, "compile", refused)
    traced = measured()
    assert (traced.temporaries, traced.compile_seconds) == (None, None)
    assert traced.to_json().items() <= found.to_json().items()
    assert "compilation" not in str(traced)
    with pytest.raises(AssertionError, match="compiled"):
        measured(compiled=True)


def test_the_doctor_examines_a_config_without_its_data(sde_jax):
    arguments = ("doctor", *sde_jax.tiny, "--shape", "8,8,1")
    shown = json.loads(sde_jax(*arguments, "--json").done().out)
    assert shown["parameters"] == 23_344
    assert min(shown.values()) > 0
    table = dict(line.split("  ", 1) for line in sde_jax(*arguments).done().out.splitlines())
    assert table["parameters"].strip() == "23,344"
    assert "temporaries" not in table
    np.testing.assert_allclose(float(table["state and batch"].split()[0]), shown["state"] / 2**20, atol=0.05)
    (line,) = sde_jax("doctor", "--config", "configs/ve/cifar10_ncsnpp_continuous.py").problems
    assert line.endswith("or say the shape of an image, as --shape 32,32,3")


def test_a_dry_run_compiles_nothing_unless_it_is_asked_to(sde_jax, tmp_path, monkeypatch):
    arguments = ("train", *sde_jax.tiny, "--workdir", tmp_path / "run", "--dry_run")
    assert "temporaries" in sde_jax(*arguments, "--compile").done().out
    shown = sde_jax(*arguments).done().out
    assert "one train step" in shown
    assert "temporaries" not in shown
    assert not (tmp_path / "run").exists()
