import numpy as np
import pytest

from sde_jax.commands.evaluate import states
from sde_jax.commands.evaluate.rounds import Rounds
from sde_jax.commands.workdir import Workdir


class KilledError(Exception):
    pass


def summed(limit: int | None = None):
    """Sums of squares and the numbers themselves, whose rounding depends on the order; it ends at a number."""
    seen = []

    def advance(state, first, last):
        if limit is not None and last > limit:
            raise KilledError
        seen.append((first, last))
        total, numbers = state
        new = np.arange(first, last) ** 0.5
        return total + new.sum(), np.concatenate([numbers, new])

    return advance, seen


START = (np.zeros(()), np.zeros(0))


def rounds(folder, of=None, **changes) -> Rounds:
    return Rounds(Workdir(folder), of or {"part": "sum"}, **{"total": 23, "size": 4, "seconds": 0.0, **changes})


def test_work_that_was_killed_goes_on_after_the_last_round_and_ends_with_the_same_bits(tmp_path):
    advance, seen = summed()
    whole = rounds(tmp_path / "whole").run(START, advance)
    assert seen == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 23)]
    for limit in (9, 10, 19):
        with pytest.raises(KilledError):
            rounds(tmp_path / "killed").run(START, summed(limit)[0])
    advance, seen = summed()
    killed = rounds(tmp_path / "killed").run(START, advance)
    assert seen == [(16, 20), (20, 23)]
    assert [leaf.tobytes() for leaf in killed] == [leaf.tobytes() for leaf in whole]


def test_work_that_is_done_is_not_done_again(tmp_path):
    done = rounds(tmp_path).run(START, summed()[0])
    again = rounds(tmp_path).run(START, summed(0)[0])
    np.testing.assert_array_equal(again[1], done[1])
    rounds(tmp_path).forget()
    with pytest.raises(KilledError):
        rounds(tmp_path).run(START, summed(0)[0])


@pytest.mark.parametrize("changes", [{"of": {"part": "other"}}, {"total": 24}, {"size": 5}])
def test_a_state_of_something_else_is_not_taken_up(tmp_path, changes):
    rounds(tmp_path).run(START, summed()[0])
    advance, seen = summed()
    rounds(tmp_path, **changes).run(START, advance)
    assert seen[0][0] == 0


def test_states_are_not_written_more_often_than_asked_but_in_the_end(tmp_path):
    with pytest.raises(KilledError):
        rounds(tmp_path, seconds=100.0).run(START, summed(20)[0])
    assert not list(tmp_path.rglob("*.npz"))
    rounds(tmp_path, seconds=100.0).run(START, summed()[0])
    assert len(list(tmp_path.rglob("*.npz"))) == 1


@pytest.mark.parametrize("damage", [lambda content: content[:-40], lambda content: b"nothing", lambda content: b""])
def test_a_damaged_state_is_told_and_measured_again(tmp_path, damage, capsys):
    rounds(tmp_path).run(START, summed()[0])
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(damage(file.read_bytes()))
    advance, seen = summed()
    rounds(tmp_path).run(START, advance)
    assert seen[0] == (0, 4)
    assert f"{file}: damaged" in capsys.readouterr().err


def test_a_file_says_what_it_is_of_and_another_of_the_same_name_is_none(tmp_path):
    workdir = Workdir(tmp_path)
    states.write(workdir, "a.npz", {"x": 1.5, "names": ("a", "b")}, {"n": np.array(3), "rest": (np.ones(2),)})
    found = states.read(workdir, "a.npz", {"names": ["a", "b"], "x": 1.5}, {"n": 0, "rest": (0,)})
    assert (int(found["n"]), found["rest"][0].tolist()) == (3, [1.0, 1.0])
    assert states.read(workdir, "a.npz", {"x": 1.5}, {"n": 0, "rest": (0,)}) is None
    assert states.read(workdir, "b.npz", {}, 0) is None
