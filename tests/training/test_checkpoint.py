import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sde_jax.errors import InputError, RunError
from sde_jax.training import Adam, Checkpoints, ExponentialAverage, TrainState, abstract, data_mesh, replicated

OPTIMIZER = Adam(1e-2, warmup=2).transformation()
SHARDING = replicated(data_mesh())


def state(step: int, width: int = 3, seed: int = 0) -> TrainState:
    """A state after some updates with numbers of every kind that could lose a bit."""
    params = {"w": jax.random.normal(jax.random.key(seed), (2, width)), "b": jnp.array([1e-40, -0.0, 3.4e38])}
    created = TrainState.create(params, OPTIMIZER, ExponentialAverage())
    updates, optimizer = OPTIMIZER.update(jax.tree.map(jnp.ones_like, params), created.optimizer)
    averages = jax.tree.map(lambda p: p / 3, params)
    n = jnp.asarray(step, jnp.int32)
    return replace(
        created,
        step=n,
        position=n + 3,
        params=optax.apply_updates(params, updates),
        averages=averages,
        optimizer=optimizer,
    )


def saved(folder: Path, *steps: int, keep: int = 3, keep_every: int = 0) -> Path:
    with Checkpoints(folder, keep, keep_every=keep_every) as checkpoints:
        for step in steps:
            checkpoints.save(state(step, seed=step), {"data_position": 10 * step})
    return folder


def restored(folder: Path, like: TrainState | None = None) -> TrainState:
    with Checkpoints(folder, read_only=True) as checkpoints:
        return checkpoints.restore(abstract(state(0) if like is None else like, SHARDING))


def assert_bits_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_state_comes_back_bit_for_bit_with_optimizer_and_step(tmp_path):
    assert_bits_equal(restored(saved(tmp_path, 7)), state(7, seed=7))


def test_the_newest_checkpoint_is_restored_and_its_record_with_it(tmp_path):
    saved(tmp_path, 2, 9, 10)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest == 10
        assert checkpoints.record() == {"data_position": 100}
        assert int(checkpoints.restore(abstract(state(0), SHARDING)).step) == 10


def test_any_committed_step_can_be_restored_with_its_record(tmp_path):
    saved(tmp_path, 2, 9, 10)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.steps == [2, 9, 10]
        assert checkpoints.record(9) == {"data_position": 90}
        assert_bits_equal(checkpoints.restore(abstract(state(0), SHARDING), 9), state(9, seed=9))
        with pytest.raises(InputError, match=r"no checkpoint of step 3 \(there are \[2, 9, 10\]\)"):
            checkpoints.restore(abstract(state(0), SHARDING), 3)


def test_a_state_can_be_restored_as_soon_as_it_is_saved(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state(4), {})
        assert_bits_equal(checkpoints.restore(abstract(state(0), SHARDING)), state(4))


def test_the_last_few_are_kept(tmp_path):
    saved(tmp_path, 1, 2, 3, 4, 5, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"4", "5"}


def test_of_every_so_many_steps_the_first_is_kept_for_good(tmp_path):
    saved(tmp_path, 2, 4, 5, 7, 9, 11, 12, 18, 19, keep=1, keep_every=5)
    assert {int(path.name) for path in tmp_path.iterdir()} == {5, 11, 18, 19}


def test_a_step_that_is_saved_already_is_not_saved_again(tmp_path):
    saved(tmp_path, 3)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state(3, seed=99), {"data_position": -1})
    assert_bits_equal(restored(tmp_path), state(3, seed=3))


def test_what_a_killed_save_left_does_not_count_and_gives_way_to_the_next_save(tmp_path):
    saved(tmp_path, 1, 2)
    shutil.copytree(tmp_path / "2", tmp_path / "3")
    (tmp_path / "3" / "commit_success.txt").unlink()
    (tmp_path / "4").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest == 2
        assert_bits_equal(checkpoints.restore(abstract(state(0), SHARDING)), state(2, seed=2))
        checkpoints.save(state(3, seed=3), {})
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2", "3"}
    assert_bits_equal(restored(tmp_path), state(3, seed=3))


def test_a_reader_leaves_a_save_in_progress_alone(tmp_path):
    saved(tmp_path, 1)
    (tmp_path / "2" / "state").mkdir(parents=True)
    assert int(restored(tmp_path).step) == 1
    assert (tmp_path / "2" / "state").is_dir()


def test_an_older_step_is_not_saved_beside_a_newer_one(tmp_path):
    saved(tmp_path, 3)
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(RunError, match="step 2 cannot be saved: step 3 is there"):
        checkpoints.save(state(2), {})


def test_other_arrays_are_refused_with_all_differences_the_missing_first_and_types_last(tmp_path):
    saved(tmp_path, 1)
    here = state(0)
    averages = {**here.averages, "b": here.averages["b"].astype(jnp.bfloat16)}
    params = {"c": jnp.zeros(1), "w": jnp.zeros((2, 5))}
    with pytest.raises(InputError) as raised:
        restored(tmp_path, like=replace(here, params=params, averages=averages))
    first, *rest = str(raised.value).splitlines()
    assert first.startswith(f"{tmp_path / '1'}: holds another network; choose another --workdir")
    assert rest == [
        "  params/c: missing, float32 [1] expected",
        "  params/b: float32 [3] there, not expected",
        "  params/w: float32 [2, 3] there, float32 [2, 5] expected",
        "  averages/b: float32 [3] there, bfloat16 [3] expected",
    ]


def test_of_many_differences_ten_are_told_and_the_rest_counted(tmp_path):
    saved(tmp_path, 1)
    with pytest.raises(InputError) as raised:
        restored(tmp_path, like=replace(state(0), params={str(i): jnp.zeros(1) for i in range(30)}))
    lines = str(raised.value).splitlines()
    assert len(lines) == 12
    assert re.fullmatch(r"  and 22 more of \d+ arrays", lines[-1])


def test_a_state_is_restored_with_the_fields_of_its_class(tmp_path):
    """Fields that a later version adds are saved too; a checkpoint without them says so."""

    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class Extended(TrainState):
        extra: dict[str, jax.Array]

    extended = Extended(**vars(state(2)), extra={"count": jnp.arange(3)})
    saved(tmp_path / "old", 1)
    with Checkpoints(tmp_path / "new") as checkpoints:
        checkpoints.save(extended, {})
        assert_bits_equal(checkpoints.restore(abstract(extended, SHARDING)), extended)
    with pytest.raises(InputError, match=r"extra/count: missing, int32 \[3\] expected"):
        restored(tmp_path / "old", like=extended)


def test_a_reader_goes_on_to_the_newer_one_where_a_run_has_removed_what_was_the_newest(tmp_path):
    saved(tmp_path, 1)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        saved(tmp_path, 2, keep=1)
        assert checkpoints.latest == 1
        assert_bits_equal(checkpoints.restore(abstract(state(0), SHARDING)), state(2, seed=2))
        assert checkpoints.latest == 2


def test_a_checkpoint_that_a_run_removes_while_it_is_read_is_told_in_one_line(tmp_path, monkeypatch):
    def removed(folder: Path, _: object) -> list[str]:
        shutil.rmtree(folder)
        return []

    saved(tmp_path, 1)
    monkeypatch.setattr("sde_jax.training.manifest.differences", removed)
    with pytest.raises(InputError, match=r"/1: the run that is saving there has removed it; start the command again"):
        restored(tmp_path)


def test_without_a_checkpoint_restoring_says_to_train(tmp_path):
    with pytest.raises(InputError, match="no checkpoint there yet; train first"):
        restored(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(InputError, match="no checkpoints can be kept there"):
        Checkpoints(tmp_path / "checkpoints")


@pytest.fixture
def full(tmp_path, monkeypatch):
    """The disk is full once the first checkpoint is there."""

    def write(*_):
        raise OSError(28, "No space left on device")

    saved(tmp_path, 1)
    monkeypatch.setattr("sde_jax.training.manifest.write", write)


@pytest.mark.usefixtures("full")
def test_a_save_that_fails_is_an_error_of_one_line_and_leaves_the_one_before(tmp_path):
    with (
        pytest.raises(RunError, match=r"/2: cannot be saved \(.*No space left") as raised,
        Checkpoints(tmp_path) as new,
    ):
        new.save(state(2), {})
    assert "\n" not in str(raised.value)
    assert_bits_equal(restored(tmp_path), state(1, seed=1))


def check_for_seconds(checkpoints: Checkpoints):
    for _ in range(200):
        checkpoints.check()
        time.sleep(0.05)


@pytest.mark.usefixtures("full")
def test_a_save_that_has_failed_is_told_by_the_next_check(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.check()
        checkpoints.save(state(2), {})
        with pytest.raises(RunError, match=r"/2: cannot be saved \(.*No space left"):
            check_for_seconds(checkpoints)
        assert checkpoints.latest == 1
        checkpoints.check()


@pytest.mark.usefixtures("full")
def test_what_ends_a_run_is_not_hidden_by_a_save_that_failed_too(tmp_path):
    def end(checkpoints: Checkpoints):
        checkpoints.save(state(2), {})
        raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"), Checkpoints(tmp_path) as checkpoints:
        end(checkpoints)
