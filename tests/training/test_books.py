import json

import numpy as np
import pytest

from sde_jax.training import Account, Books, Clock, read_account, read_books, read_history
from sde_jax.training.clock import PARTS


class Run:
    """A run on a clock that is set by hand: every step takes a second, a checkpoint two."""

    def __init__(self, folder):
        self.folder, self.now, self.clock = folder, 0.0, None

    def start(self, step: int, took: float = 0.0) -> Books:
        self.clock = Clock(lambda: self.now)
        self.now += took
        return Books(self.folder, step, self.clock)

    def train(self, books: Books, steps, **values) -> None:
        for step in steps:
            with self.clock("step"):
                self.now += 1
            books.write(step, {"loss": 1.0, **values})

    def killed(self, books: Books, steps=(), **values) -> None:
        """Train, and end without a word: only what the system would close is closed."""
        self.train(books, steps, **values)
        books._close()

    def save(self) -> None:
        with self.clock("checkpoint"):
            self.now += 2


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def write(folder, first: int, steps, loss: float = 1.0) -> None:
    with Books(folder, first) as books:
        for step in steps:
            books.write(step, {"loss": loss})


def steps_of(folder) -> list[float]:
    return [row["step"] for row in read_books(folder)]


def events_of(folder) -> list[tuple[str, int]]:
    return [(row["event"], row["step"]) for row in read_history(folder)]


def test_rows_come_back_in_order_with_the_account(tmp_path, run):
    with run.start(0, took=3) as books:
        run.train(books, [2, 4])
    shares = {**dict.fromkeys((f"share_{part}" for part in PARTS), 0.0), "share_start": 0.75, "share_step": 0.25}
    account = {"wall_seconds": 4.0, **shares, "lost_seconds": 0.0, "goodput": 0.25}
    assert read_books(tmp_path)[0] == {"step": 2, "loss": 1.0, **account}
    assert steps_of(tmp_path) == [2, 4]


def test_a_resumed_run_has_every_step_once(tmp_path):
    write(tmp_path, 0, [2, 4, 6, 8], loss=1.0)
    write(tmp_path, 4, [6, 8, 10], loss=2.0)
    assert [(row["step"], row["loss"]) for row in read_books(tmp_path)] == [(2, 1), (4, 1), (6, 2), (8, 2), (10, 2)]


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
    assert read_books(tmp_path) == read_history(tmp_path) == []


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path):
    with Books(tmp_path, 0) as books:
        books.write(1, {"loss": 1.0})
        assert steps_of(tmp_path) == [1]


def test_time_adds_up_over_starts_and_ends(tmp_path, run):
    with run.start(0, took=5) as books:
        run.train(books, [1, 2])
        run.save()
    run.now += 1000  # no process
    with run.start(2, took=7) as books:
        run.train(books, [3])
    account = Account.of(read_books(tmp_path)[-1])
    assert account.seconds == pytest.approx({**dict.fromkeys(PARTS, 0), "start": 12, "checkpoint": 2, "step": 3})
    assert account.lost == 0
    assert account.goodput == pytest.approx(3 / 17)
    assert events_of(tmp_path) == [("start", 0), ("end", 2), ("start", 2), ("end", 3)]


def test_work_that_is_done_again_is_lost(tmp_path, run):
    run.killed(run.start(0), [1, 2, 3, 4, 5])
    with run.start(3) as books:
        run.train(books, [4, 5, 6])
    account = Account.of(read_books(tmp_path)[-1])
    assert (account.wall, account.lost) == pytest.approx((8, 2))
    assert account.goodput == pytest.approx(6 / 8)


def test_a_run_that_begins_from_nothing_again_has_lost_all_steps(tmp_path, run):
    run.killed(run.start(0), [1, 2, 3])
    with run.start(0) as books:
        run.train(books, [1])
    assert read_books(tmp_path)[-1]["lost_seconds"] == pytest.approx(3)


def test_a_process_killed_between_its_two_files_loses_nothing_twice(tmp_path, run, monkeypatch):
    run.killed(run.start(0), [1, 2, 3, 4, 5])
    with monkeypatch.context() as patch:
        patch.setattr("sde_jax.training.books.replace_lines", lambda *_: (_ for _ in ()).throw(SystemExit))
        for _ in range(2):
            with pytest.raises(SystemExit):
                run.start(3)
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]
    assert read_account(tmp_path).lost == pytest.approx(2)
    with run.start(3) as books:
        run.train(books, [4])
    account = Account.of(read_books(tmp_path)[-1])
    assert (account.wall, account.lost) == pytest.approx((6, 2))
    assert steps_of(tmp_path) == [1, 2, 3, 4]


def test_going_back_further_than_the_last_start_loses_what_it_had_kept(tmp_path, run):
    run.killed(run.start(0), [1, 2, 3, 4, 5])
    run.killed(run.start(4), [5])
    with run.start(2) as books:
        run.train(books, [3])
    account = Account.of(read_books(tmp_path)[-1])
    assert (account.wall, account.lost, account.good) == pytest.approx((7, 4, 3))


def test_a_start_that_was_killed_before_its_first_row_is_part_of_the_time(tmp_path, run):
    run.killed(run.start(0), [1, 2])
    run.killed(run.start(2, took=10))
    with run.start(2) as books:
        run.train(books, [3])
    assert Account.of(read_books(tmp_path)[-1]).seconds["start"] == pytest.approx(10)


def test_a_rollback_drops_rows_and_loses_their_steps(tmp_path, run):
    with run.start(0) as books:
        run.train(books, [1, 2, 3, 4], loss=1.0)
        books.rewind(2)
        assert steps_of(tmp_path) == [1, 2]
        run.train(books, [3, 4], loss=2.0)
    assert [(row["step"], row["loss"]) for row in read_books(tmp_path)] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    account = Account.of(read_books(tmp_path)[-1])
    assert (account.wall, account.lost) == pytest.approx((6, 2))
    assert events_of(tmp_path) == [("start", 0), ("rollback", 2), ("end", 4)]


def test_steps_that_are_in_no_row_are_lost_where_a_run_goes_back(tmp_path, run):
    with run.start(0) as books:
        run.train(books, [1, 2])
        with run.clock("step"):
            run.now += 5
        books.rewind(2)
    assert read_history(tmp_path)[-1]["lost_seconds"] == pytest.approx(5)


def test_skipped_steps_are_lost(tmp_path, run):
    with run.start(0) as books:
        run.train(books, [1])
        with run.clock("step"):
            run.now += 4
        books.write(4, {"loss": 1.0}, lost=1.0)
        run.train(books, [5])
    assert [row["lost_seconds"] for row in read_books(tmp_path)] == [0, 1, 1]
    assert read_books(tmp_path)[-1]["goodput"] == pytest.approx(5 / 6)


def test_rows_of_a_run_from_before_there_were_accounts_are_kept(tmp_path, run):
    (tmp_path / Books.FILE).write_text('{"step": 2, "loss": 1.0, "seconds": 9.0}\n{"step": 4, "loss": 1.0}\n')
    with run.start(2) as books:
        run.train(books, [3])
    assert steps_of(tmp_path) == [2, 3]
    assert read_books(tmp_path)[-1]["goodput"] == 1


def test_an_error_is_an_event(tmp_path, run):
    def fails() -> None:
        with run.start(0) as books:
            run.train(books, [1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert events_of(tmp_path) == [("start", 0), ("error", 1)]


def test_numbers_that_are_not_finite_and_lists_are_valid_json(tmp_path):
    with Books(tmp_path, 0) as books:
        books.write(1, {"loss": float("nan"), "loss_by_noise_level": [1.0, None, float("inf")], "unknown": None})
    (row,) = read_books(tmp_path)
    assert (row["loss"], row["loss_by_noise_level"], row["unknown"]) == (None, [1.0, None, None], None)


def test_books_of_another_process_touch_nothing(tmp_path):
    with Books(tmp_path, 0, writing=False) as books:
        books.write(1, {"loss": 1.0})
        books.picture(1, "a", np.zeros((2, 2, 3), np.uint8))
        books.rewind(0)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_shows_every_step_once_after_a_resume_and_a_rollback(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write(tmp_path, 0, [2, 4, 6, 8], loss=1.0)
    with Books(tmp_path, 4) as books:
        for step in (6, 8):
            books.write(step, {"loss": 2.0, "by_level": [step, None, float("nan")]})
        books.rewind(6)
        for step in (8, 10):
            books.write(step, {"loss": 3.0, "by_level": [step, None, float("nan")]})
        books.picture(10, "preview", np.full((2, 3, 3), 7, np.uint8))
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(2, 1), (4, 1), (6, 2), (8, 3), (10, 3)]
    assert [(e.step, e.value) for e in events.Scalars("by_level/0")] == [(6, 6), (8, 8), (10, 10)]
    assert "by_level/1" not in events.Tags()["scalars"]
    assert "goodput" in events.Tags()["scalars"]
    (image,) = events.Images("preview")
    assert (image.step, image.width, image.height) == (10, 3, 2)
