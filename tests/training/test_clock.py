import itertools
import time

import pytest

from sde_jax.errors import InputError
from sde_jax.training import Clock
from sde_jax.training.clock import PARTS


class Time:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand():
    return Time()


@pytest.fixture
def clock(hand):
    return Clock(hand)


def test_every_moment_is_of_one_part_and_the_rest_is_the_start(clock, hand):
    hand.now += 1
    with clock("data"):
        hand.now += 2
    hand.now += 4
    with clock("checkpoint"):
        hand.now += 8
    with clock("data"):
        hand.now += 16
    hand.now += 32
    expected = {"start": 37, "compile": 0, "data": 18, "checkpoint": 8, "evaluation": 0, "step": 0}
    assert clock.seconds == expected
    assert tuple(expected) == PARTS


def test_a_part_within_another_is_taken_off_it(clock, hand):
    with clock("checkpoint"):
        hand.now += 1
        with clock("compile"):
            hand.now += 2
        hand.now += 4
    assert (clock.seconds["checkpoint"], clock.seconds["compile"], clock.seconds["start"]) == (5, 2, 0)


def test_a_part_that_is_not_over_counts_up_to_now(clock, hand):
    with clock("evaluation"):
        hand.now += 3
        assert clock.seconds["evaluation"] == 3
        hand.now += 1
    assert clock.seconds["evaluation"] == 4


def test_a_part_that_ends_in_an_error_has_ended(clock, hand):
    def ends() -> None:
        with clock("data"):
            hand.now += 5
            raise StopIteration

    with pytest.raises(StopIteration):
        ends()
    hand.now += 1
    assert (clock.seconds["data"], clock.seconds["start"]) == (5, 1)


def test_what_was_read_does_not_change_with_the_clock(clock, hand):
    before = clock.seconds
    hand.now += 1
    assert before["start"] == 0


def test_the_parts_sum_to_the_wall_time():
    began = time.perf_counter()
    clock = Clock()
    with clock("data"):
        time.sleep(0.02)
    total = sum(clock.seconds.values())
    assert 0.02 <= clock.seconds["data"] <= total <= time.perf_counter() - began


def test_a_part_costs_two_readings_of_the_clock():
    readings = itertools.count()
    clock = Clock(lambda: float(next(readings)))
    for _ in range(100):
        with clock("data"):
            pass
    assert next(readings) == 1 + 2 * 100


def test_an_unknown_part_is_refused_with_the_known_ones(clock):
    with (
        pytest.raises(InputError, match=r"'sleep': expected one of start, compile, data, checkpoint, evaluation"),
        clock("sleep"),
    ):
        pass
