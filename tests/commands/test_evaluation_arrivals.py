import threading

import pytest

from sde_jax.commands.evaluate import arrivals
from sde_jax.commands.evaluate.arrivals import Arrivals
from sde_jax.errors import InputError, RunError
from sde_jax.training import Shelf

FINAL = 12


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Shelf:
    """Checkpoints of steps 4 and 8; those whose folder holds a file `bad` are damaged."""
    monkeypatch.setattr(arrivals, "POLL", 0.01)
    monkeypatch.setattr(arrivals, "damage", lambda folder: "flipped" if (folder / "bad").exists() else "")
    shelf = Shelf(tmp_path)
    for step in (4, 8):
        add(shelf, step)
    return shelf


def add(shelf: Shelf, step: int, *files: str) -> None:
    shelf.folder(step).mkdir()
    for file in (*files, "commit_success.txt"):
        (shelf.folder(step) / file).touch()


def asked(shelf, which, patience=None) -> list[int]:
    wanted = Arrivals(shelf, which, FINAL, patience)
    wanted.require()
    return list(wanted)


@pytest.mark.parametrize(("which", "steps"), [("last", [8]), ("all", [4, 8]), ((8, 4), [4, 8]), ((4,), [4])])
def test_the_checkpoints_that_are_there_come_in_order(shelf, which, steps):
    assert asked(shelf, which) == steps


def test_a_damaged_one_is_told_and_passed_over_unless_it_was_asked_for(shelf, capsys):
    add(shelf, 12, "bad")
    assert asked(shelf, "last") == [8]
    assert asked(shelf, "all") == [4, 8]
    assert "12: damaged (flipped); passed over" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"12: damaged \(flipped\); choose other --checkpoints"):
        asked(shelf, (12,))


@pytest.mark.parametrize(("which", "steps"), [("last", [12]), ("all", [4, 8, 12]), ((8, 12), [8, 12])])
def test_those_of_a_run_in_training_are_waited_for_until_its_last(shelf, which, steps):
    came = []
    wanted = iter(Arrivals(shelf, which, FINAL, patience=30.0))
    timer = threading.Timer(0.05, add, (shelf, 12))
    timer.start()
    came.extend(wanted)
    timer.join()
    assert came == steps


def test_waiting_ends_when_none_comes(shelf):
    with pytest.raises(RunError, match=r"no checkpoint came for 0\.05 s, of step 12"):
        asked(shelf, "all", patience=0.05)


def test_what_is_missing_is_refused_with_the_nearest_there_is(shelf, tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint of step 9 .*did you mean 8.* There are 4, 8"):
        asked(shelf, (4, 9))
    with pytest.raises(InputError, match="no checkpoint there yet; train first, or --follow"):
        asked(Shelf(tmp_path / "none"), "last")
