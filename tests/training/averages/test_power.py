import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sde_jax.errors import InputError
from sde_jax.training import PowerAverages
from sde_jax.training.averages import exponent

DEVIATIONS = (0.02, 0.05, 0.1, 0.25, 12**-0.5)


def weights(average: PowerAverages, steps: int) -> np.ndarray:
    """The weights of all steps in every average after so many: those of parameters that are 1 at one step alone."""

    def update(averages, step):
        return average.update(averages, (jnp.arange(steps) == step - 1).astype(float), step, 64), None

    averages, _ = jax.lax.scan(update, average.init(jnp.full(steps, 7.0)), 1 + jnp.arange(steps))
    return np.stack(averages)


@pytest.mark.parametrize("deviation", [1e-3, *DEVIATIONS])
def test_the_profile_of_an_exponent_has_the_deviation(deviation):
    assert stats.beta(exponent(deviation) + 1, 1).std() == pytest.approx(deviation, rel=1e-9)


def test_an_average_is_the_integral_of_its_profile_over_every_step():
    # Beta(gamma + 1, 1) has the density (gamma + 1) tau^gamma.
    steps = 300
    for found, deviation in zip(weights(PowerAverages(DEVIATIONS), steps), DEVIATIONS, strict=True):
        expected = np.diff(stats.beta(exponent(deviation) + 1, 1).cdf(np.linspace(0, 1, steps + 1)))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-18)


def test_the_weights_have_the_deviation_that_is_asked_for():
    steps = 4000
    at = (np.arange(steps) + 0.5) / steps
    for found, deviation in zip(weights(PowerAverages(DEVIATIONS), steps), DEVIATIONS, strict=True):
        mean = found @ at
        assert found.sum() == pytest.approx(1)
        assert np.sqrt(found @ (at - mean) ** 2) == pytest.approx(deviation, rel=1e-4)


def test_the_widest_average_is_the_mean():
    np.testing.assert_allclose(weights(PowerAverages((12**-0.5,)), 50)[0], 1 / 50)


def test_samples_are_drawn_with_the_first_and_all_have_the_name_of_their_deviation():
    average = PowerAverages((0.1, 0.05))
    assert average.params(("a", "b")) == "a"
    assert average.named(("a", "b")) == {"0.1": "a", "0.05": "b"}


@pytest.mark.parametrize("deviations", [(), (0.1, 0.1), (0.0,), (-0.1,), (0.1, 0.29), (np.nan,)])
def test_deviations_out_of_range_are_refused(deviations):
    with pytest.raises(InputError, match="expected"):
        PowerAverages(deviations)
