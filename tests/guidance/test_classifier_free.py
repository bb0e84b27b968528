import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.guidance import Interval, classifier_free, composed
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.sampling import DPMSolverMultistep, grids, transport
from sde_jax.sde import VE, VP, RectifiedFlow

SDE = VP()
X = jnp.array([0.3, -1.2, 2.0])


def gaussian(mean, sde=SDE):
    return GaussianDenoiser(sde, mean, 1.0)


def moments(denoise, sde=SDE) -> tuple[float, float]:
    """The exact mean and deviation of one number that the sampler makes with an affine denoiser: x = f(0) + z f'."""
    ends = jnp.sqrt(sde.prior_variance()) * jnp.array([0.0, 1.0])
    grid = grids.LogSNR().times(sde, 50, 1e-3)
    zero, one = transport(jax.random.key(0), DPMSolverMultistep(), sde, denoise, ends, grid).x
    return float(zero), float(one - zero)


@pytest.mark.parametrize("weight", [2.5, -1.0])
def test_two_unit_gaussians_give_the_gaussian_about_weight_times_the_mean(weight):
    mean, deviation = moments(classifier_free(gaussian(1.0), gaussian(0.0), SDE, weight))
    assert mean == pytest.approx(weight, abs=0.02)  # of which alpha(1) weight is the prior's, whose mean is 0
    assert deviation == pytest.approx(1.0, abs=0.02)


def test_a_weight_of_one_is_no_guidance_and_of_zero_the_baseline():
    one, zero = gaussian(2.0), gaussian(-1.0)
    np.testing.assert_allclose(classifier_free(one, zero, SDE, 1.0)(X, 0.4), one(X, 0.4), rtol=1e-6)
    np.testing.assert_allclose(classifier_free(one, zero, SDE, 0.0)(X, 0.4), zero(X, 0.4), rtol=1e-6)


def test_outside_the_interval_there_is_no_guidance():
    sde, one, zero = VE(0.01, 50.0), gaussian(2.0, VE(0.01, 50.0)), gaussian(0.0, VE(0.01, 50.0))
    guided = classifier_free(one, zero, sde, 3.0, Interval(0.5, 4.0))
    for level, expected in ((0.3, one), (0.6, "guided"), (3.9, "guided"), (4.1, one)):
        t = sde.time_of(-math.log(level))
        expected = classifier_free(one, zero, sde, 3.0) if expected == "guided" else expected
        np.testing.assert_allclose(guided(X, t), expected(X, t), rtol=1e-6)


def test_an_interval_is_open_below_and_closed_above():
    sde = VE(0.01, 50.0)
    level = float(jnp.exp(-sde.log_snr(0.5)))
    assert bool(Interval(0.0, level).holds(sde, 0.5))
    assert not bool(Interval(level, 9.0).holds(sde, 0.5))
    assert bool(Interval().holds(RectifiedFlow(), 1.0))  # where sigma / alpha is infinite


def test_the_guidance_of_an_interval_moves_the_mean_by_what_is_guided_within():
    # On VE unit Gaussians' D_w - D_1 = (w - 1) m s^2 / (1 + s^2); dx / ds = (x - D) / s integrates it in closed form.
    sde, weight, low, high = VE(0.01, 50.0), 3.0, 0.5, 4.0
    guided = classifier_free(gaussian(2.0, sde), gaussian(0.0, sde), sde, weight, Interval(low, high))
    grid = grids.LogSNR().times(sde, 2000, 1e-3)
    x = transport(jax.random.key(0), DPMSolverMultistep(), sde, guided, jnp.full(1, 2.0), grid).x
    # x - m = sqrt(1 + s^2) y with dy / ds = -(w - 1) m s (1 + s^2)^(-3/2)
    y = (weight - 1) * 2.0 * ((1 + low**2) ** -0.5 - (1 + high**2) ** -0.5)
    assert float(x[0]) == pytest.approx(2.0 + y, abs=0.01)


def test_rescaling_gives_the_guided_estimate_the_deviation_of_the_one_that_is_not():
    one, zero = gaussian(jnp.array([2.0, 0.0, -1.0])), gaussian(0.0)
    plain, given = classifier_free(one, zero, SDE, 4.0)(X, 0.6), one(X, 0.6)
    whole = classifier_free(one, zero, SDE, 4.0, rescale=1.0)(X, 0.6)
    np.testing.assert_allclose(jnp.std(whole), jnp.std(given), rtol=1e-5)
    np.testing.assert_allclose(whole / plain, (jnp.std(given) / jnp.std(plain)) * jnp.ones(3), rtol=1e-5)
    part = classifier_free(one, zero, SDE, 4.0, rescale=0.3)(X, 0.6)
    np.testing.assert_allclose(part, 0.3 * whole + 0.7 * plain, rtol=1e-5)
    flat = classifier_free(lambda x, t: 0 * x, lambda x, t: 0 * x, SDE, 4.0, rescale=1.0)(X, 0.6)
    np.testing.assert_array_equal(flat, jnp.zeros(3))


def test_several_conditions_add_what_each_adds():
    # Unit Gaussians about 0 and m_i: the product N(x; m_1, 1) N(x; m_2, 1) / N(x; 0, 1) is N(m_1 + m_2, 1).
    mean, deviation = moments(composed(gaussian(0.0), [gaussian(1.0), gaussian(-2.5)], [1.0, 1.0]))
    assert (mean, deviation) == (pytest.approx(-1.5, abs=0.02), pytest.approx(1.0, abs=0.02))
    mean, _ = moments(composed(gaussian(0.0), [gaussian(1.0), gaussian(-2.5)], jnp.array([0.5, -0.8])))
    assert mean == pytest.approx(0.5 + 2.0, abs=0.02)


def test_one_condition_is_classifier_free_guidance():
    one, zero = gaussian(2.0), gaussian(-1.0)
    np.testing.assert_allclose(
        composed(zero, [one], [2.5])(X, 0.4), classifier_free(one, zero, SDE, 2.5)(X, 0.4), rtol=1e-6
    )


def test_a_weight_may_be_traced():
    guided = jax.jit(lambda w: classifier_free(gaussian(2.0), gaussian(0.0), SDE, w, rescale=w / 9)(X, 0.4))
    for weight in (1.0, 3.0):
        np.testing.assert_allclose(
            guided(weight), classifier_free(gaussian(2.0), gaussian(0.0), SDE, weight, rescale=weight / 9)(X, 0.4),
            rtol=1e-5,
        )  # fmt: skip


def test_settings_out_of_range_are_refused():
    one = gaussian(1.0)
    with pytest.raises(InputError, match="expected a finite number"):
        classifier_free(one, one, SDE, math.nan)
    with pytest.raises(InputError, match="0 <= rescale <= 1"):
        classifier_free(one, one, SDE, 2.0, rescale=1.5)
    with pytest.raises(InputError, match="two numbers or more"):
        classifier_free(one, one, SDE, 2.0, rescale=0.5)(jnp.ones(1), 0.5)
    with pytest.raises(InputError, match="0 <= low < high"):
        Interval(2.0, 1.0)
    with pytest.raises(InputError, match="one each"):
        composed(one, [one], [1.0, 2.0])
    with pytest.raises(InputError, match="one each"):
        composed(one, [], [])
