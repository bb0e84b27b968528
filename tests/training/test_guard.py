import os
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import RunError
from sde_jax.training import FiniteGuard, Interruption, Metrics


def metrics(loss: float = 1.0, norm: float = 1.0) -> Metrics:
    return Metrics(jnp.asarray(loss), jnp.asarray(norm))


@pytest.mark.parametrize(
    "bad", [metrics(loss=np.nan), metrics(loss=-np.inf), metrics(norm=np.inf), metrics(norm=np.nan)]
)
def test_a_number_that_is_not_finite_names_its_step_and_its_examples(bad):
    guard = FiniteGuard()
    guard.watch(11, np.array([1, 2]), metrics())
    guard.watch(12, np.array([70, 1499]), bad)
    guard.watch(13, np.array([3, 4]), metrics(loss=np.nan))
    with pytest.raises(RunError, match=r"^step 12: .*\[70, 1499\].*nothing was saved") as raised:
        guard.check()
    assert "\n" not in str(raised.value)


def test_finite_losses_are_returned_once_each_in_order():
    guard = FiniteGuard()
    for step in (1, 2, 3):
        guard.watch(step, np.array([step]), metrics(loss=step / 2))
    assert guard.check() == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert guard.check() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_raises_a_flag_and_the_handlers_are_put_back(number):
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    with Interruption() as interruption:
        assert not interruption
        os.kill(os.getpid(), number)
        assert interruption
        assert interruption.signal is number
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before


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
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == "still here\n"
    assert result.returncode == -signal.SIGINT
