import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.training import Health

JUDGE = jax.jit(Health.judge, static_argnums=(3, 4))


def after(values, health: Health | None = None) -> Health:
    health = Health.create() if health is None else health
    for loss in values:
        healthy = jnp.isfinite(loss)
        health = AFTER(health, jnp.float32(loss), jnp.float32(2 * loss), healthy)
    return health


AFTER = jax.jit(Health.after)


def test_the_means_of_few_healthy_steps_are_their_arithmetic_means():
    health = after([3.0, -1.0, np.nan, 2.0, np.inf])
    assert float(health.loss) == pytest.approx((3 + 1 + 2) / 3)
    assert float(health.gradient_norm) == pytest.approx((6 + 2 + 4) / 3)
    assert (int(health.healthy), int(health.skipped)) == (3, 2)


def test_the_means_of_many_forget_at_the_rate_of_their_memory():
    health = after([0.0] * Health.MEMORY)
    steps = 50
    expected = 1 - (1 - 1 / Health.MEMORY) ** steps
    assert float(after([1.0] * steps, health).loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("loss", "norm", "spike", "settled", "expected"),
    [
        (9.9, 19.9, 10.0, 3, True),
        (-9.9, 2.0, 10.0, 3, True),
        (10.1, 2.0, 10.0, 3, False),
        (-10.1, 2.0, 10.0, 3, False),
        (1.0, 20.1, 10.0, 3, False),
        (10.1, 20.1, 10.0, 4, True),
        (10.1, 20.1, 0.0, 3, True),
        (np.nan, 1.0, 0.0, 3, False),
        (1.0, np.inf, 0.0, 3, False),
        (np.nan, 1.0, 10.0, 4, False),
    ],
)
def test_a_step_is_healthy_unless_its_numbers_are_not_finite_or_spike_once_that_is_settled(
    loss, norm, spike, settled, expected
):
    health = after([1.0, 1.0, 1.0])  # means of 1 and 2
    assert bool(JUDGE(health, jnp.float32(loss), jnp.float32(norm), spike, settled)) is expected
