import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.commands.journal import Journal, means
from sde_jax.experiment import Training
from sde_jax.training import Books, Clock, Health, Levels, Metrics, Row, TrainState, read_books

SETTINGS = Training(steps=100, batch_size=32)


def row(step: int, loss: float = 1.0, norm: float = 0.0, sums=(1.0, 0.0, 6.0), counts=(1.0, 0.0, 2.0)) -> Row:
    levels = Levels(np.float32(sums), np.float32(counts))
    return Row(step, Metrics(np.float32(loss), np.float32(norm), np.True_, levels, np.False_))


def state(step: int, skipped: int = 0) -> TrainState:
    zero, health = jnp.zeros(()), Health.create()
    health = Health(health.loss, health.gradient_norm, jnp.asarray(step - skipped), jnp.asarray(skipped))
    return TrainState(jnp.asarray(step), jnp.asarray(step), zero, zero, zero, health)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told(tmp_path):
    """Two rows of a journal, at steps 4 and 8, of which the second left two steps out."""
    time = Time()
    clock = Clock(time)
    with Books(tmp_path, 0, clock) as books, Journal(SETTINGS, books, clock, 0, lambda seconds: seconds / 8) as journal:
        with clock("compile"):
            time.now += 100
        with clock("step"):
            time.now += 2
            with clock("data"):
                time.now += 6
        journal.log(state(4), [row(n) for n in (1, 2, 3, 4)])
        with clock("step"):
            time.now += 4
        with clock("checkpoint"):
            time.now += 50
        journal.log(state(8, skipped=2), [row(n) for n in (5, 8)])
    return read_books(tmp_path)


def test_means_are_over_the_steps_and_over_the_examples_of_a_noise_level():
    found = means([row(1, 1.0, 2.0), row(2, 3.0, 5.0, sums=(3.0, 0.0, 0.0), counts=(3.0, 0.0, 0.0))])
    assert found == {"loss": 2.0, "gradient_norm": 3.5, "loss_by_noise_level": [1.0, None, 3.0]}


def test_nothing_is_known_of_no_steps():
    assert set(means([]).values()) == {None}


def test_rates_are_of_the_time_since_the_last_row(told):
    assert [row["images_per_second"] for row in told] == [4 * 32 / 8, 4 * 32 / 4]
    assert [row["step_seconds"] for row in told] == [0.5, 1.0]
    assert [row["flop_utilization"] for row in told] == [0.5 / 8, 1 / 8]


def test_steps_left_out_are_counted_and_their_time_is_lost(told):
    assert [(row["skipped"], row["lost_seconds"]) for row in told] == [(0, 0), (2, 2)]
    assert told[1]["goodput"] == pytest.approx((2 + 2) / (100 + 2 + 6 + 4 + 50))


def test_a_journal_goes_back(tmp_path):
    clock = Clock(time := Time())
    with Books(tmp_path, 0, clock) as books, Journal(SETTINGS, books, clock, 0) as journal, clock("step"):
        for step in (2, 4, 6):
            time.now += 1
            journal.log(state(step), [row(step - 1), row(step)])
        journal.rewind(2)
        time.now += 8
        journal.log(state(4), [row(3), row(4)])
    rows = read_books(tmp_path)
    assert [(row["step"], row["step_seconds"], row["rollbacks"]) for row in rows] == [(2, 0.5, 0), (4, 4.0, 1)]
    assert rows[-1]["lost_seconds"] == pytest.approx(2)


def test_the_bar_shows_loss_rate_and_step(tmp_path, capfd):
    clock = Clock(time := Time())
    with Books(tmp_path, 0, clock) as books, Journal(SETTINGS, books, clock, 0) as journal, clock("step"):
        time.now += 2
        journal.log(state(50), [row(n, loss=0.25) for n in range(1, 51)])
    shown = capfd.readouterr().err
    assert "50/100" in shown
    assert "loss 0.2500, 800 images/s" in shown
