import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.training import Adam


def rates(settings: Adam, steps) -> list[float]:
    return [float(settings.schedule()(step)) for step in steps]


def updates(settings: Adam, gradients) -> list[np.ndarray]:
    optimizer = settings.transformation()
    state = optimizer.init(jnp.zeros(2))
    steps = []
    for gradient in gradients:
        update, state = optimizer.update(jnp.asarray(gradient), state)
        steps.append(np.asarray(update))
    return steps


def test_the_rate_rises_linearly_from_its_first_share_to_the_whole():
    assert rates(Adam(learning_rate=0.8, warmup=4), range(6)) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_from_zero_the_rate_is_the_official_one(warmup):
    # lr min(step / warmup, 1), step from 0 on (Song et al. 2021, losses.py); without warm-up lr
    official = [0.8 * min(step / warmup, 1) if warmup else 0.8 for step in range(7)]
    assert rates(Adam(0.8, warmup, from_zero=True), range(7)) == pytest.approx(official)


@pytest.mark.parametrize("warmup", [0, 1])
def test_without_warmup_the_rate_is_whole_from_the_first_step(warmup):
    assert rates(Adam(learning_rate=0.3, warmup=warmup), (0, 1, 1000)) == pytest.approx([0.3, 0.3, 0.3])


@pytest.mark.parametrize("warmup", [0, 10])
def test_the_rate_halves_every_half_life_after_the_warmup(warmup):
    steps = [warmup, warmup + 50, warmup + 100, warmup + 300]
    assert rates(Adam(0.8, warmup, half_life=50), steps) == pytest.approx([0.8, 0.4, 0.2, 0.0125], rel=1e-5)


def test_a_gradient_beyond_the_bound_is_shortened_to_it_and_keeps_its_direction():
    # Adam does not see the scale of its first gradient alone: the second tells how long the first one was.
    long, short = np.array([60.0, -80.0]), np.array([0.1, 0.2])
    clipped = updates(Adam(1e-2, 0, clip=1.0), [long, short])
    np.testing.assert_allclose(clipped, updates(Adam(1e-2, 0, clip=0.0), [long / 100, short]), rtol=1e-5)
    assert not np.allclose(clipped[1], updates(Adam(1e-2, 0, clip=0.0), [long, short])[1], rtol=1e-2)


def test_a_gradient_within_the_bound_is_left_as_it_is():
    gradients = [np.array([0.3, -0.4]), np.array([0.1, 0.2])]
    np.testing.assert_array_equal(updates(Adam(clip=1.0), gradients), updates(Adam(clip=0.0), gradients))


def test_the_first_step_of_adam_is_the_rate_against_the_sign_of_the_gradient():
    (step,) = updates(Adam(0.25, 0, clip=0.0), [np.array([3.0, -7.0])])
    np.testing.assert_allclose(step, [-0.25, 0.25], rtol=1e-4)


def test_the_rate_of_a_step_is_the_schedules_at_that_step():
    optimizer = Adam(learning_rate=0.8, warmup=4, clip=0.0).transformation()
    state, sizes = optimizer.init(jnp.zeros(())), []
    for _ in range(5):
        update, state = jax.jit(optimizer.update)(jnp.ones(()), state)
        sizes.append(-float(update))
    assert sizes == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8], rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": np.nan},
        {"warmup": -1},
        {"half_life": -1.0},
        {"clip": -0.1},
        {"b1": 1.0},
        {"b2": 1.0},
        {"b2": -0.1},
        {"eps": 0.0},
    ],
)
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(InputError, match="expected learning_rate, eps > 0"):
        Adam(**settings)
