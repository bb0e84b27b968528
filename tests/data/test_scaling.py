"""Real numbers and their x_0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checks import checked
from sde_jax.data import Scaling
from sde_jax.errors import InputError, NumericalError

VALUES = np.random.default_rng(0).normal([100.0, -3.0, 0.0], [7.0, 0.1, 2.0], (500, 3))


def test_standard_data_have_mean_zero_and_deviation_one():
    x0, log_q = Scaling.standard(VALUES).draw(jax.random.key(0), VALUES)
    np.testing.assert_allclose(np.mean(x0, 0), 0, atol=1e-4)
    np.testing.assert_allclose(np.std(x0, 0), 1, atol=1e-4)
    assert log_q == 0


def test_values_are_what_x0_stands_for():
    scaling = Scaling.standard(VALUES)
    x0, _ = scaling.draw(jax.random.key(0), VALUES)
    np.testing.assert_allclose(scaling.values(x0), VALUES, rtol=1e-4)


def test_the_last_axis_has_the_scales_whatever_the_rank():
    values = VALUES.reshape(50, 10, 3)
    assert Scaling.standard(values) == Scaling.standard(VALUES)
    assert Scaling.standard(values).draw(jax.random.key(0), values)[0].shape == (50, 10, 3)


def test_a_column_of_equal_numbers_has_no_scale():
    with pytest.raises(InputError, match="column 1 is 4 in every example"):
        Scaling.standard([[1.0, 4.0], [2.0, 4.0]])


@pytest.mark.parametrize(
    ("shift", "scale"), [((0.0,), (0.0,)), ((0.0,), (1.0, 1.0)), ((), ()), ((np.inf,), (1.0,)), ((0.0,), (-1.0,))]
)
def test_a_scaling_has_a_shift_and_a_positive_scale_of_every_number(shift, scale):
    with pytest.raises(InputError, match="expected a finite shift and a positive scale"):
        Scaling(shift, scale)


def test_numbers_that_are_not_finite_are_found_in_a_compiled_program():
    x0, data = jnp.zeros(2), jnp.array([0.0, jnp.nan])
    with pytest.raises(NumericalError, match="hold NaN or infinity"):
        checked(Scaling().guarded)(x0, data)
    assert np.all(np.isnan(jax.jit(Scaling().guarded)(x0, data)))
