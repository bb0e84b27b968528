import shutil
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
    return TrainState(jnp.asarray(step, jnp.int32), optax.apply_updates(params, updates), averages, optimizer)


def saved(folder: Path, *steps: int, keep: int = 3) -> Path:
    with Checkpoints(folder, keep) as checkpoints:
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


def flip_a_bit(path: Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def halve(path: Path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_state_comes_back_bit_for_bit_with_optimizer_and_step(tmp_path):
    assert_bits_equal(restored(saved(tmp_path, 7)), state(7, seed=7))


def test_the_newest_checkpoint_is_restored_and_its_record_with_it(tmp_path):
    saved(tmp_path, 2, 10, 9)
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


@pytest.mark.parametrize("damage", [flip_a_bit, halve, Path.unlink])
@pytest.mark.parametrize("kind", ["state/d/*", "state/_METADATA", "state/manifest.ocdbt", "manifest.json"])
def test_damage_to_any_file_is_seen_and_named_in_one_line(tmp_path, kind, damage):
    saved(tmp_path, 1, 2)
    damage(max((tmp_path / "2").glob(kind), key=lambda path: path.stat().st_size))
    with pytest.raises(InputError, match=r"/2: damaged \(.*\); remove this directory to go on") as raised:
        restored(tmp_path)
    assert "\n" not in str(raised.value)
    shutil.rmtree(tmp_path / "2")
    assert_bits_equal(restored(tmp_path), state(1, seed=1))


def test_a_damaged_record_is_seen(tmp_path):
    (path,) = saved(tmp_path, 1).glob("1/record/metadata")
    flip_a_bit(path)
    with Checkpoints(tmp_path, read_only=True) as checkpoints, pytest.raises(InputError, match="record/metadata"):
        checkpoints.record()


def test_a_state_of_other_shapes_is_refused_in_one_line(tmp_path):
    saved(tmp_path, 1)
    with pytest.raises(InputError, match=r"params/w: float32 \[2, 3\] there, float32 \[2, 5\] expected") as raised:
        restored(tmp_path, like=TrainState(**{**vars(state(0)), "params": state(0, width=5).params}))
    assert "\n" not in str(raised.value)


def test_a_state_of_another_type_is_refused_rather_than_cast(tmp_path):
    saved(tmp_path, 1)
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), state(0).averages)
    with pytest.raises(InputError, match=r"averages/b: float32 \[3\] there, bfloat16 \[3\] expected"):
        restored(tmp_path, like=TrainState(**{**vars(state(0)), "averages": half}))


def test_a_state_with_other_parts_is_refused(tmp_path):
    saved(tmp_path, 1)
    more = {**state(0).params, "c": jnp.zeros(1)}
    with pytest.raises(InputError, match=r"params/c: None there, float32 \[1\] expected"):
        restored(tmp_path, like=TrainState(**{**vars(state(0)), "params": more}))


def test_without_a_checkpoint_restoring_says_to_train(tmp_path):
    with pytest.raises(InputError, match="no checkpoint there yet; train first"):
        restored(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(InputError, match="no checkpoints can be kept there"):
        Checkpoints(tmp_path / "checkpoints")


def test_a_save_that_fails_is_an_error_of_one_line_and_leaves_the_one_before(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    saved(tmp_path, 1)
    monkeypatch.setattr("sde_jax.training.manifest.write", full)
    with (
        pytest.raises(RunError, match=r"/2: cannot be saved \(.*No space left") as raised,
        Checkpoints(tmp_path) as new,
    ):
        new.save(state(2), {})
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    assert_bits_equal(restored(tmp_path), state(1, seed=1))
