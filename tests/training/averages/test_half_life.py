import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.training import HalfLife


def weight_of_the_start(average: HalfLife, steps: int, batch_size: int, first: int = 1) -> float:
    """What is left of the parameters before step `first`, after so many steps at 0."""
    update = lambda value, step: (average.update(value, 0 * value, step, batch_size), None)  # noqa: E731
    value, _ = jax.lax.scan(update, average.init(jnp.ones(())), first + jnp.arange(steps))
    return float(value)


@pytest.mark.parametrize("batch_size", [1, 10, 32, 160])
def test_a_weight_halves_in_the_half_life_whatever_the_batch_size(batch_size):
    average = HalfLife(images=320, ramp=0)
    assert weight_of_the_start(average, 320 // batch_size, batch_size) == pytest.approx(1 / 2)
    assert weight_of_the_start(average, 2 * 320 // batch_size, batch_size) == pytest.approx(1 / 4)


def test_on_the_ramp_the_half_life_is_a_share_of_the_images_before():
    # At step n + 1 there are n steps before, and 2^(-1 / (0.25 n)) is left.
    average = HalfLife(images=1e9, ramp=0.25)
    harmonic = sum(1 / n for n in range(9, 19))
    assert weight_of_the_start(average, 10, 64, first=10) == pytest.approx(2 ** (-harmonic / 0.25))


def test_the_ramp_ends_where_its_share_is_the_half_life():
    # A share of 1/4 of 8 steps is 2 steps: from step 9 on weights halve in 2 steps; at step 5 in one.
    average = HalfLife(images=20, ramp=0.25)
    assert [weight_of_the_start(average, 1, 10, first=n) for n in (5, 9, 10, 100)] == pytest.approx(
        [0.5, 0.5**0.5, 0.5**0.5, 0.5**0.5]
    )


def test_the_first_update_forgets_the_initial_parameters():
    assert weight_of_the_start(HalfLife(), 1, 512) == 0


@pytest.mark.parametrize("fields", [{"images": 0}, {"images": np.nan}, {"images": np.inf}, {"ramp": -1}])
def test_a_length_out_of_range_is_refused(fields):
    with pytest.raises(InputError, match="expected images > 0 and ramp >= 0"):
        HalfLife(**fields)
