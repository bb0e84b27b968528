import json
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.commands import train
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Arrays, Splits, batches, examples_of
from sde_jax.errors import RunError
from sde_jax.experiment import Experiment, Training
from sde_jax.nn import MLP
from sde_jax.training import Levels, RollBack, Skip, read_books, read_history
from sde_jax.training.clock import PARTS

LONG = ["--config.training.steps=120", "--config.training.checkpoint_every=9", "--config.training.log_every=1"]
"""Long enough that a signal finds it at work."""
EPOCHS = Arrays(np.arange(64, dtype=np.uint8).reshape(16, 2, 2, 1))


@dataclass(frozen=True)
class Few:
    """Sixteen images, a data set of the user's own."""

    def open(self) -> Splits:
        return Splits(EPOCHS, EPOCHS, (2, 2, 1), 256)


def assert_same_bits(ours, theirs) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def assert_accounted(folder, number: signal.Signals) -> None:
    """The time of two starts is that of the run, and work that was lost is known to be."""
    before, (begun, ended) = read_history(folder)[:-2], read_history(folder)[-2:]
    assert [row["event"] for row in (*before, begun, ended)] == (
        ["start", "start", "end"] if number is signal.SIGKILL else ["start", "end", "start", "end"]
    )
    last = read_books(folder)[-1]
    assert sum(last[f"share_{part}"] for part in PARTS) == pytest.approx(1)
    assert before[0]["wall_seconds"] < begun["wall_seconds"] < last["wall_seconds"] <= ended["wall_seconds"]
    assert 0 < last["goodput"] < 1
    assert 0 < last["share_checkpoint"] < last["share_checkpoint"] + last["share_compile"] < 1
    lost = begun["lost_seconds"]
    assert lost == last["lost_seconds"]
    # After a signal that was heeded no step is lost, but the moments after the last row, on a busy machine.
    assert 0 <= lost < (1 if number is signal.SIGTERM else begun["wall_seconds"])


def test_a_run_that_was_stopped_and_started_again_equals_one_that_was_not_bit_for_bit(tmp_path, sde_jax, state_of):
    uninterrupted = tmp_path / "uninterrupted"
    stops = {signal.SIGKILL: random.randint(2, 60), signal.SIGTERM: random.randint(2, 60)}
    commands = {number: ["train", *sde_jax.tiny, *LONG, "--workdir", tmp_path / number.name] for number in stops}
    with ThreadPoolExecutor() as pool:
        stop = lambda n: sde_jax.stop(sde_jax.start(*commands[n]), n, tmp_path / n.name, stops[n])  # noqa: E731
        outcomes = dict(zip(stops, pool.map(stop, stops), strict=True))
    assert {number: outcome.code for number, outcome in outcomes.items()} == {signal.SIGKILL: -9, signal.SIGTERM: 75}
    saved = int(state_of(tmp_path / "SIGTERM").step)
    assert f"SIGTERM: saved step {saved}; run the same command to continue" in outcomes[signal.SIGTERM].out
    assert stops[signal.SIGTERM] <= saved < 120

    sde_jax("train", *sde_jax.tiny, *LONG, "--workdir", uninterrupted).done()
    whole = [(row["step"], row["loss"]) for row in read_books(uninterrupted)]
    assert [step for step, _ in whole] == list(range(1, 121))
    for number in stops:
        resumed = sde_jax(*commands[number]).done()
        assert number is signal.SIGKILL or f"continuing from step {saved}" in resumed.out
        assert_same_bits(state_of(tmp_path / number.name), state_of(uninterrupted))
        assert [(row["step"], row["loss"]) for row in read_books(tmp_path / number.name)] == whole
        assert_accounted(tmp_path / number.name, number)


def test_a_run_can_be_made_longer_and_equals_one_that_was_long_from_the_start(run, tmp_path, sde_jax, state_of):
    longer = ["--config.training.steps=18", "--config.training.checkpoint_every=6"]
    assert "continuing from step 12" in sde_jax("train", *sde_jax.tiny, *longer, "--workdir", run).done().out
    sde_jax("train", *sde_jax.tiny, *longer, "--workdir", tmp_path / "other").done()
    assert_same_bits(state_of(run), state_of(tmp_path / "other"))


CONDITIONAL = [
    *("--config.network.condition=Conditions", "--config.training.label_dropout=0.2"),
    *("--config.network.condition.parts.label=ClassLabel", "--config.network.condition.parts.label.classes=10"),
    *("--config.network.condition.parts.augmentation=Vector", "--config.network.condition.parts.augmentation.size=9"),
    *("--config.training.augmentation=Geometric", "--config.training.symmetry.left_right=true"),
]
"""Of digits, told which they are and how they were augmented."""


def test_a_network_that_hears_labels_and_augmentations_is_trained(tmp_path, sde_jax, state_of):
    sde_jax("train", *sde_jax.tiny, *CONDITIONAL, "--workdir", tmp_path / "run").done()
    heard = state_of(tmp_path / "run").params["conditioning"]["parts"]
    start = nn.initialized(Workdir(tmp_path / "run").read_record().experiment.network, (8, 8, 1), 0)[1]
    changed = heard["label"]["table"] != start["conditioning"]["parts"]["label"]["table"]
    assert changed.any(1).all()  # of all classes and of none
    assert (
        heard["augmentation"]["map"]["kernel"] != start["conditioning"]["parts"]["augmentation"]["map"]["kernel"]
    ).any()


@pytest.mark.slow
def test_a_network_that_hears_labels_and_augmentations_is_previewed_and_costs_are_told(tmp_path, sde_jax):
    flags = [*sde_jax.tiny, *CONDITIONAL, "--config.training.preview.every=12"]
    sde_jax("train", *flags, "--workdir", tmp_path / "run").done()
    assert (tmp_path / "run" / "previews" / "step_12.png").is_file()
    assert "GFLOP" in sde_jax("train", *flags, "--workdir", tmp_path / "new", "--dry_run").done().out


@pytest.mark.slow
def test_a_conditional_run_that_was_stopped_equals_one_that_was_not_bit_for_bit(tmp_path, sde_jax, state_of):
    flags = [*sde_jax.tiny, *CONDITIONAL, "--config.training.crop=1"]
    sde_jax("train", *flags, "--config.training.steps=4", "--workdir", tmp_path / "stopped").done()
    for name in ("stopped", "whole"):
        sde_jax("train", *flags, "--config.training.steps=8", "--workdir", tmp_path / name).done()
    assert_same_bits(state_of(tmp_path / "stopped"), state_of(tmp_path / "whole"))


@pytest.mark.parametrize("command", [[], ["--dry_run"]], ids=str)
def test_data_that_do_not_say_what_the_network_hears_are_refused_before_training(tmp_path, sde_jax, command):
    cases = {
        "have label 9; expected classes 0 .. 4": ["ClassLabel", "--config.network.condition.classes=5"],
        "the network hears augmentation": ["Vector", "--config.network.condition.size=9"],
        "the network hears channels": ["Channels", "--config.network.condition.count=1"],
    }
    for told, (kind, size) in cases.items():
        flags = [*sde_jax.tiny, f"--config.network.condition={kind}", size, *command]
        (problem,) = sde_jax("train", *flags, "--workdir", tmp_path / "run").problems
        assert told in problem
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_done_is_left_as_it_is(run, sde_jax, contents):
    before = contents(run / "checkpoints")
    outcome = sde_jax("train", *sde_jax.tiny, "--workdir", run).done()
    assert "trained to step 12 already; raise --config.training.steps" in outcome.out
    assert contents(run / "checkpoints") == before


def test_the_resolved_config_stands_beside_and_inside_the_checkpoints(trained):
    record = json.loads((trained / "config.json").read_text())
    network = {"type": "MLP", "width": 16, "depth": 1, "dropout": 0.0, "condition": {"type": "Unconditional"}}
    assert record["experiment"]["network"] == network
    assert (record["shape"], record["levels"]) == ([8, 8, 1], 17)
    inside = json.loads((trained / "checkpoints" / "12" / "record" / "metadata").read_text())
    assert inside == {"run": record, "data_position": 12 * 16}


def test_progress_shows_loss_rate_and_time_left(tmp_path, sde_jax):
    shown = sde_jax("train", *sde_jax.tiny, "--workdir", tmp_path / "run").done().err
    assert "12/12" in shown
    assert "loss" in shown
    assert "images/s" in shown


def test_a_relative_directory_is_relative_to_where_the_command_runs(tmp_path, monkeypatch, sde_jax):
    monkeypatch.chdir(tmp_path)
    sde_jax("train", *sde_jax.tiny, "--workdir", "runs/a").done()
    assert (tmp_path / "runs" / "a" / "checkpoints" / "12").is_dir()


def test_a_dry_run_shows_config_parameters_mesh_and_memory_and_writes_nothing(tmp_path, sde_jax):
    shown = (
        sde_jax("train", *sde_jax.tiny, "--workdir", tmp_path / "run", "--dry_run", "--config.sde.beta_max=15")
        .done()
        .out
    )
    assert list(tmp_path.iterdir()) == []
    for expected in ('"beta_max": 15.0', "entry/kernel", "Total: 23,344", "'held_out': 297", "'data': 1", "MiB"):
        assert expected in shown


@dataclass(frozen=True)
class Poisoned:
    """A loss that is not a number whenever a batch holds this image of `EPOCHS`."""

    image: int

    def __call__(self, *_) -> "Poisoned":
        return self

    def draw(self, key, batch):
        return batch["data"]

    def measure(self, params, images):
        bad = jnp.any(jnp.all(images == EPOCHS[self.image]["data"], axis=(1, 2, 3)))
        value = sum(jnp.mean(jnp.square(p)) for p in params["exit"].values())
        return jnp.where(bad, jnp.nan, 1.0) * value, Levels(jnp.zeros(8), jnp.zeros(8))


def test_a_loss_that_is_not_finite_stops_the_run_names_the_batch_and_is_never_saved(tmp_path, monkeypatch):
    training = Training(steps=8, batch_size=2, log_every=3, checkpoint_every=1)
    experiment = Experiment(data=Few(), network=MLP(width=4, depth=1), training=training)
    stream = batches(EPOCHS, batch_size=2, seed=0)
    order = [next(stream)["index"].tolist() for _ in range(8)]
    monkeypatch.setattr("sde_jax.model.BatchLoss", Poisoned(order[4][1]))
    with pytest.raises(RunError) as raised:
        train.run(experiment, tmp_path)
    assert str(raised.value).startswith("step 5: loss nan")
    assert str(order[4]) in str(raised.value)
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == 4
    assert [row["step"] for row in read_books(tmp_path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("rule", [Skip(), RollBack()], ids=["skip", "roll back"])
def test_a_run_goes_on_without_the_batch_that_was_bad(tmp_path, monkeypatch, rule):
    training = Training(steps=8, batch_size=2, log_every=1, checkpoint_every=2, on_anomaly=rule)
    experiment = Experiment(data=Few(), network=MLP(width=4, depth=1), training=training)
    order = [examples_of(n, count=16, batch_size=2, seed=0).tolist() for n in range(8)]
    monkeypatch.setattr("sde_jax.model.BatchLoss", Poisoned(order[4][1]))
    assert train.run(experiment, tmp_path) == 0
    (left_out,) = [json.loads(line) for line in (tmp_path / train.ANOMALIES).read_text().splitlines()]
    assert (left_out["step"], left_out["position"], left_out["loss"]) == (5, 4, "nan")
    assert left_out["examples"] == order[4]
    # rolled back to step 4, on with batch 5
    saved = json.loads((tmp_path / "checkpoints" / "8" / "record" / "metadata").read_text())
    assert saved["data_position"] == 2 * (8 if isinstance(rule, Skip) else 9)
    rows = read_books(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert [row["step"] for row in rows if row["loss"] is None] == ([5] if isinstance(rule, Skip) else [])
    assert (rows[-1]["skipped"], rows[-1]["rollbacks"]) == ((1, 0) if isinstance(rule, Skip) else (0, 1))
    assert rows[-1]["lost_seconds"] > 0


def test_rolling_back_has_an_end(tmp_path, monkeypatch):
    training = Training(steps=8, batch_size=8, log_every=1, checkpoint_every=2, on_anomaly=RollBack(limit=2))
    experiment = Experiment(data=Few(), network=MLP(width=4, depth=1), training=training)
    monkeypatch.setattr("sde_jax.model.BatchLoss", Poisoned(examples_of(3, count=16, batch_size=8, seed=0)[0]))
    with pytest.raises(RunError, match="rolled back 2 times already"):
        train.run(experiment, tmp_path)


def test_a_run_that_diverges_ends_with_code_3_and_one_line(tmp_path, sde_jax):
    extreme = ["--config.training.optimizer.learning_rate=1e30", "--config.training.optimizer.warmup=0"]
    outcome = sde_jax("train", *sde_jax.tiny, *extreme, "--workdir", tmp_path)
    assert outcome.code == 3
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("sde-jax: ")]
    assert "from the training examples [" in line
    assert "Traceback" not in outcome.err
    assert not list((tmp_path / "checkpoints").iterdir())


def test_two_processes_do_not_train_in_one_directory(run, sde_jax, contents):
    with Workdir(run).open_for(Workdir(run).read_record()):
        before = contents(run)
        (line,) = sde_jax("train", *sde_jax.tiny, "--config.training.steps=14", "--workdir", run).problems
        assert line == f"{run}: another process is training there; wait for it, or choose another --workdir"
        assert contents(run) == before
    sde_jax("train", *sde_jax.tiny, "--config.training.steps=14", "--workdir", run).done()


def test_a_full_disk_ends_a_run_with_code_3_and_without_a_traceback(tmp_path, monkeypatch, sde_jax):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr("sde_jax.training.Books.write", full)
    outcome = sde_jax("train", *sde_jax.tiny, "--workdir", tmp_path)
    assert outcome.code == 3
    assert "sde-jax: [Errno 28] No space left on device: 'metrics.jsonl'" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_component_of_the_users_own_trains_and_resumes(tmp_path):
    def experiment(steps: int) -> Experiment:
        training = Training(steps=steps, batch_size=2, log_every=2, checkpoint_every=2)
        return Experiment(data=Few(), network=MLP(width=4, depth=1), training=training)

    assert train.run(experiment(2), tmp_path) == 0
    assert train.run(experiment(4), tmp_path) == 0
    assert [row["step"] for row in read_books(tmp_path)] == [2, 4]
