import json

import jax
import numpy as np
import pytest

from sde_jax.commands.workdir import Workdir, abstract_state, load
from sde_jax.training import Checkpoints, PowerAverages, TrainState, data_mesh, reconstruct
from sde_jax.training.averages import Profile


@pytest.fixture(scope="module")
def states(averaged) -> dict[int, TrainState]:
    """The kept states of the run, by step."""
    record = Workdir(averaged).read_record()
    like = abstract_state(record, data_mesh())
    with Checkpoints(averaged / "checkpoints", read_only=True) as checkpoints:
        return {step: checkpoints.restore(like, step) for step in checkpoints.steps}


@pytest.mark.parametrize("step", [8, 12])
def test_the_run_that_is_made_is_the_run_at_that_step_with_the_average_of_that_length(
    averaged, states, tmp_path, sde_jax, state_of, step
):
    arguments = ("average", "--workdir", averaged, "--deviation", "0.07", "--output", tmp_path / "run", "--json")
    facts = json.loads(sde_jax(*arguments, *(("--step", step) if step != 12 else ())).done().out)
    assert (facts["step"], facts["checkpoints"]) == (step, step // 2)
    assert 0 < facts["residual"] < 0.05
    made = state_of(tmp_path / "run")
    snapshots = [
        (Profile(n, deviation), tree)
        for n, state in states.items()
        for deviation, tree in zip((0.05, 0.1), state.averages, strict=True)
    ]
    jax.tree.map(np.testing.assert_array_equal, made.averages, (reconstruct(snapshots, step, 0.07),))
    before = states[step]
    jax.tree.map(np.testing.assert_array_equal, (made.params, made.optimizer), (before.params, before.optimizer))
    record, there = (Workdir(folder).read_record().experiment for folder in (tmp_path / "run", averaged))
    assert record.training.average == PowerAverages((0.07,))
    assert record.identity() | {"training": 0} == there.identity() | {"training": 0}


def test_the_run_that_is_made_is_sampled_from_and_trained_on(averaged, tmp_path, sde_jax):
    run = tmp_path / "run"
    sde_jax("average", "--workdir", averaged, "--deviation", "0.1", "--output", run).done()
    model, kept = load(Workdir(run)), load(Workdir(averaged), "0.1")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), model.params, kept.params)
    facts = json.loads(sde_jax("sample", "--workdir", run, "--num_samples", "2", "--json").done().out)
    assert facts["checkpoint_step"] == 12
    average = ["--config.training.average=PowerAverages", "--config.training.average.deviations=0.1"]
    more = ["--config.training.steps=14", "--workdir", run]
    assert "continuing from step 12" in sde_jax("train", *sde_jax.tiny, *average, *more).done().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--deviation=0.07", "--step=7"], "step 7: no averages of this step are there; there are 2, 4, 6, 8, 10, 12"),
        (["--deviation=0.02"], "deviation 0.02 at step 12: 6 steps with averages of deviations 0.05, 0.1 give it to"),
        (["--deviation=0.3"], "expected 0 < deviation <= 12"),
        (["--deviation=nan"], "expected 0 < deviation <= 12"),
        (["--deviation=long"], "expected a number"),
    ],
)
def test_an_average_that_the_run_cannot_give_writes_nothing(averaged, tmp_path, sde_jax, flags, told):
    (line,) = sde_jax("average", "--workdir", averaged, "--output", tmp_path / "run", *flags).problems
    assert told in line
    assert not (tmp_path / "run").exists()


def test_a_run_without_power_function_averages_says_so(trained, tmp_path, sde_jax):
    arguments = ("average", "--workdir", trained, "--deviation", "0.1", "--output", tmp_path / "run")
    (line,) = sde_jax(*arguments).problems
    assert line.endswith("keeps no power function averages; train with training.average=PowerAverages")


def test_a_run_is_not_written_over(averaged, trained, contents, sde_jax):
    before = contents(trained)
    (line,) = sde_jax("average", "--workdir", averaged, "--deviation", "0.1", "--output", trained).problems
    assert line == f"{trained}: holds a run already; choose another --output"
    assert contents(trained) == before
