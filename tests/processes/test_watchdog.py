import math
import time

import pytest

from sde_jax.errors import InputError
from sde_jax.processes import Watch, Watchdog

WATCHDOG = Watchdog(multiple=20, least=5, first=600)


@pytest.mark.parametrize("intervals", [[], [0.1]])
def test_before_two_intervals_the_limit_leaves_time_for_compilation(intervals):
    assert WATCHDOG.limit(intervals) == 600


def test_the_limit_is_a_multiple_of_the_median_which_one_long_step_does_not_move():
    assert WATCHDOG.limit([1.0, 2.0, 3.0]) == 40
    assert WATCHDOG.limit([1.0, 2.0, 1000.0]) == 40


def test_quick_steps_are_allowed_the_least_limit():
    assert WATCHDOG.limit([0.01] * 9) == 5


def test_a_multiple_of_zero_is_no_watchdog():
    assert Watchdog(multiple=0).limit([1.0] * 5) == math.inf
    assert Watchdog(multiple=0).limit([]) == math.inf


@pytest.mark.parametrize(
    ("field", "value"),
    [("multiple", 1.0), ("multiple", -2.0), ("multiple", math.inf), ("least", 0.0), ("first", math.nan)],
)
def test_limits_out_of_range_are_refused(field, value):
    with pytest.raises(InputError, match=f"{field} = {value}: expected"):
        Watchdog(**{field: value})


def stuck_of(*seconds_of_steps, pause=0.0, limit=0.3):
    """What a watch with this limit says of steps that take so long, and then of none; None where it says nothing."""
    said = []
    with Watch(lambda intervals: limit, 7, lambda seconds, step: said.append((seconds, step))) as watch:
        for step, seconds in enumerate(seconds_of_steps, 8):
            if pause:
                with watch.paused(), watch.paused():
                    time.sleep(pause)
            time.sleep(seconds)
            watch.beat(step)
    return said


def test_steps_that_end_in_time_are_let_be():
    assert stuck_of(*[0.05] * 30, limit=1.0) == []


def test_a_step_that_does_not_end_is_told_once_with_the_step_before_it():
    [(seconds, step)] = stuck_of(0.05, 0.8)
    assert seconds >= 0.3
    assert step == 8


def test_pauses_do_not_count():
    assert stuck_of(0.05, 0.05, pause=1.2, limit=1.0) == []


def test_a_pause_that_does_not_end_is_told():
    said = []
    with Watch(lambda intervals: 60, 7, lambda seconds, step: said.append((seconds, step)), pause=0.3) as watch:
        watch.beat(8)
        with watch.paused():
            time.sleep(1.8)
    [(seconds, step)] = said
    assert seconds >= 0.3
    assert step == 8


def test_the_limit_is_asked_with_the_intervals_between_beats_but_not_the_time_until_the_first():
    asked = []
    with Watch(lambda intervals: asked.append(list(intervals)) or 60, 0, lambda *_: None) as watch:
        time.sleep(0.3)
        began = time.monotonic()
        for step in range(3):
            watch.beat(step)
            time.sleep(0.02)
        steps = time.monotonic() - began
        while len(asked[-1]) < 2:
            time.sleep(0.01)
    assert len(asked[-1]) == 2
    assert 0.04 <= sum(asked[-1]) <= steps


def test_a_process_that_is_stuck_ends_with_76_one_line_and_its_stacks(job):
    program = """
    def hang():
        time.sleep(600)

    with processes.Watchdog(multiple=2, least=0.5).watching(40) as watch:
        for step in range(41, 45):
            time.sleep(0.01)
            watch.beat(step)
        hang()
    """
    [ended] = job.ends(job.start(program))
    assert ended.code == 76
    assert ended.err.startswith("sde-jax: no step has ended for 1 s, since step 44 (watchdog: multiple 2, least 0.5 s")
    assert "in hang" in ended.err
