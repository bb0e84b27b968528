import math

import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.training import ExponentialAverage


def averaged(average: ExponentialAverage, start: float, params: list[float], first: int = 1) -> float:
    value = average.init({"w": jnp.asarray(start)})
    for n, p in enumerate(params, first):
        value = average.update(value, {"w": jnp.asarray(p)}, jnp.asarray(n), 64)
    return float(value["w"])


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_on_the_ramp_the_initial_parameters_are_forgotten_as_a_ratio_of_factorials(n):
    # The product of (1 + k) / (10 + k) over k = 1 ... n.
    weight = math.factorial(n + 1) * math.factorial(10) / math.factorial(n + 10)
    assert averaged(ExponentialAverage(0.9999), 3.0, [1.0] * n) == pytest.approx(1 + 2 * weight, rel=1e-5)


def test_beyond_the_ramp_every_update_has_a_share_that_decays_geometrically():
    # (1 + n) / (10 + n) >= 0.5 from n = 8 on.
    assert averaged(ExponentialAverage(0.5), 5.0, [1.0, 2.0, -4.0], first=9) == pytest.approx(5 / 8 + 1 / 8 + 2 / 4 - 2)


def test_without_the_ramp_every_update_has_a_share_that_decays_geometrically_from_the_first():
    params = [1.0, 2.0, -4.0, 8.0]
    shares = [0.1 * 0.9**age for age in (3, 2, 1, 0)]
    expected = 5 * 0.9**4 + sum(share * p for share, p in zip(shares, params, strict=True))
    assert averaged(ExponentialAverage(0.9, ramp=False), 5.0, params) == pytest.approx(expected)


def test_the_first_update_keeps_two_elevenths():
    assert averaged(ExponentialAverage(0.999), 11.0, [0.0]) == pytest.approx(2.0)


def test_without_decay_the_average_is_the_parameters():
    assert averaged(ExponentialAverage(0.0), 7.0, [1.0, 2.0]) == 2.0


def test_an_average_keeps_the_type_of_the_parameters():
    update = ExponentialAverage().update(
        {"w": jnp.ones(2, jnp.bfloat16)}, {"w": jnp.zeros(2, jnp.bfloat16)}, jnp.int32(1), 64
    )
    assert update["w"].dtype == jnp.bfloat16


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, np.nan])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(InputError, match="expected 0 <= decay < 1"):
        ExponentialAverage(decay)
