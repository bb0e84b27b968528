import math

import jax
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.nn import ELU, LeakyReLU, ReLU, Swish

X = np.linspace(-3, 3, 13)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        (Swish(), lambda x: x / (1 + math.exp(-x))),
        (ELU(), lambda x: x if x > 0 else math.expm1(x)),
        (ReLU(), lambda x: max(x, 0)),
        (LeakyReLU(), lambda x: max(x, 0.2 * x)),
        (LeakyReLU(0.5), lambda x: max(x, 0.5 * x)),
    ],
)
def test_an_activation_is_its_formula(activation, formula):
    np.testing.assert_allclose(activation.activate(jax.numpy.asarray(X)), [formula(x) for x in X], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("slope", [-0.1, 1.0, float("nan")])
def test_a_slope_out_of_range_is_refused(slope):
    with pytest.raises(InputError, match="expected 0 <= slope < 1"):
        LeakyReLU(slope)
