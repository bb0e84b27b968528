import json

import pytest

from sde_jax.training import Books, read_books


def write(folder, first: int, steps, loss: float = 1.0) -> None:
    with Books(folder, first) as books:
        for step in steps:
            books.write(step, {"loss": loss, "seconds": books.seconds_before + step - first})


def steps_of(folder) -> list[float]:
    return [row["step"] for row in read_books(folder)]


def test_rows_come_back_in_order(tmp_path):
    write(tmp_path, 0, [2, 4, 6])
    assert read_books(tmp_path) == [{"step": s, "loss": 1.0, "seconds": float(s)} for s in (2, 4, 6)]


def test_a_resumed_run_has_every_step_once(tmp_path):
    write(tmp_path, 0, [2, 4, 6, 8], loss=1.0)
    write(tmp_path, 4, [6, 8, 10], loss=2.0)
    assert [(row["step"], row["loss"]) for row in read_books(tmp_path)] == [(2, 1), (4, 1), (6, 2), (8, 2), (10, 2)]


def test_training_time_adds_up_over_resumes_without_what_was_lost(tmp_path):
    write(tmp_path, 0, [2, 4, 6])
    write(tmp_path, 4, [6, 8])
    assert [row["seconds"] for row in read_books(tmp_path)] == [2, 4, 6, 8]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_last_line_cut_off_by_a_kill_is_left_out_and_written_again(tmp_path, cut):
    write(tmp_path, 0, [2, 4, 6])
    path = tmp_path / Books.FILE
    path.write_bytes(path.read_bytes()[: -1 - cut])
    assert steps_of(tmp_path) == [2, 4]
    write(tmp_path, 4, [6])
    assert steps_of(tmp_path) == [2, 4, 6]
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [2, 4, 6]


def test_a_directory_without_books_has_no_rows(tmp_path):
    assert read_books(tmp_path) == []


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path):
    with Books(tmp_path, 0) as books:
        books.write(1, {"loss": 1.0, "seconds": 0.0})
        assert steps_of(tmp_path) == [1]


def test_tensorboard_shows_every_step_once_after_a_resume(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write(tmp_path, 0, [2, 4, 6, 8], loss=1.0)
    write(tmp_path, 4, [6, 8, 10], loss=2.0)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(2, 1), (4, 1), (6, 2), (8, 2), (10, 2)]
