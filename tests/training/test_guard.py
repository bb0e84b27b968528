import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError, RunError
from sde_jax.training import (
    Guard,
    Interruption,
    Levels,
    Metrics,
    OnAnomaly,
    RollBack,
    RollBackError,
    Skip,
    Stop,
)

EXAMPLES = {11: [1, 2], 12: [70, 1499], 13: [3, 4]}


def metrics(loss: float = 1.0, norm: float = 1.0) -> Metrics:
    healthy = jnp.asarray(np.isfinite(loss) & np.isfinite(norm))
    levels = Levels(jnp.zeros(8), jnp.zeros(8))
    return Metrics(jnp.asarray(loss), jnp.asarray(norm), healthy, levels, jnp.asarray(False))


def guard(rule: OnAnomaly, told: list | None = None) -> Guard:
    return Guard(rule, lambda batch: np.array(EXAMPLES.get(batch, [batch])), ([] if told is None else told).append)


@pytest.mark.parametrize(
    "bad", [metrics(loss=np.nan), metrics(loss=-np.inf), metrics(norm=np.inf), metrics(norm=np.nan)]
)
def test_a_number_that_is_not_finite_names_its_step_and_its_examples(bad):
    told = []
    stopping = guard(Stop(), told)
    for step, reported in ((21, metrics()), (22, bad), (23, metrics(loss=np.nan))):
        stopping.watch(step, step - 10, 1, reported)
    with pytest.raises(RunError, match=r"^step 22: .*\[70, 1499\].*nothing was saved") as raised:
        stopping.check()
    assert "\n" not in str(raised.value)
    assert [(a.step, a.position, a.examples) for a in told] == [(22, 12, [70, 1499])]


def test_finite_losses_are_returned_once_each_in_order():
    stopping = guard(Stop())
    for step in (1, 2, 3):
        stopping.watch(step, step, 1, metrics(loss=step / 2))
    assert [(row.step, float(row.metrics.loss)) for row in stopping.check()] == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert stopping.check() == []


def test_the_steps_of_one_call_are_told_apart():
    told = []
    skipping = guard(Skip(), told)
    parts = [metrics(loss=1.0), metrics(loss=np.nan), metrics(loss=3.0)]
    skipping.watch(5, 11, 3, jax.tree.map(lambda *a: jnp.stack(a), *parts))
    assert [(row.step, float(row.metrics.loss)) for row in skipping.check()] == [(5, 1.0), (7, 3.0)]
    assert [(a.step, a.position, a.examples) for a in told] == [(6, 12, [70, 1499])]


def test_skipping_ends_at_so_many_in_a_row():
    skipping = guard(Skip(limit=3))
    for step, loss in enumerate([np.nan, np.nan, 1.0, np.nan, np.nan]):
        skipping.watch(step, step, 1, metrics(loss=loss))
    assert [row.step for row in skipping.check()] == [2]
    skipping.watch(5, 5, 1, metrics(loss=np.nan))
    with pytest.raises(RunError, match=r"^step 5: .* and 3 steps in a row"):
        skipping.check()


def test_rolling_back_goes_on_after_the_batch_that_was_bad():
    back = guard(RollBack())
    back.watch(22, 12, 1, metrics(norm=np.inf))
    with pytest.raises(RollBackError) as raised:
        back.check()
    assert raised.value.position == 13


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stop(spike=1.0),
        lambda: Skip(spike=-2.0),
        lambda: RollBack(settled=0),
        lambda: Skip(limit=0),
        lambda: RollBack(limit=0),
    ],
)
def test_a_rule_out_of_range_is_refused(make):
    with pytest.raises(InputError, match="expected"):
        make()


SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_raises_a_flag_and_the_handlers_are_put_back(number):
    before = [signal.getsignal(s) for s in SIGNALS]
    with Interruption() as interruption:
        assert not interruption
        os.kill(os.getpid(), number)
        assert interruption
        assert interruption.signal is number
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_a_lost_terminal_says_so_more_than_once_and_before_the_scheduler_does():
    with Interruption() as interruption:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert interruption.signal is signal.SIGHUP


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interruption
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back_after_an_exception():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunError), Interruption():
        raise RunError
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_of_either_kind_ends_the_process_at_once():
    program = (
        "import os, signal, time\n"
        "from sde_jax.training import Interruption\n"
        "with Interruption():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=900)
    assert result.stdout == "still here\n"
    assert result.returncode == -signal.SIGINT
