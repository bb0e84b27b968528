import math

import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.training import ExponentialAverage


def averaged(average: ExponentialAverage, start: float, params: list[float]) -> float:
    value = {"w": jnp.asarray(start)}
    for n, p in enumerate(params, 1):
        value = average.update(value, {"w": jnp.asarray(p)}, jnp.asarray(n))
    return float(value["w"])


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_on_the_ramp_the_initial_parameters_are_forgotten_as_a_ratio_of_factorials(n):
    # The product of (1 + k) / (10 + k) over k = 1 ... n.
    weight = math.factorial(n + 1) * math.factorial(10) / math.factorial(n + 10)
    assert averaged(ExponentialAverage(0.9999), 3.0, [1.0] * n) == pytest.approx(1 + 2 * weight, rel=1e-5)


def test_beyond_the_ramp_every_update_has_a_share_that_decays_geometrically():
    average, n, later = ExponentialAverage(0.5), 9, [1.0, 2.0, -4.0]
    # (1 + n) / (10 + n) >= 0.5 from n = 8 on.
    value = {"w": jnp.asarray(5.0)}
    for step, p in enumerate(later, n):
        value = average.update(value, {"w": jnp.asarray(p)}, jnp.asarray(step))
    assert float(value["w"]) == pytest.approx(5 / 8 + 1 / 8 + 2 / 4 - 4 / 2)


def test_the_first_update_keeps_two_elevenths():
    assert averaged(ExponentialAverage(0.999), 11.0, [0.0]) == pytest.approx(2.0)


def test_without_decay_the_average_is_the_parameters():
    assert averaged(ExponentialAverage(0.0), 7.0, [1.0, 2.0]) == 2.0


def test_an_average_keeps_the_type_of_the_parameters():
    update = ExponentialAverage().update(
        {"w": jnp.ones(2, jnp.bfloat16)}, {"w": jnp.zeros(2, jnp.bfloat16)}, jnp.int32(1)
    )
    assert update["w"].dtype == jnp.bfloat16


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, np.nan])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(InputError, match="expected 0 <= decay < 1"):
        ExponentialAverage(decay)
