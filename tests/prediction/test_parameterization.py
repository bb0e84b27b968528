import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.prediction import Deviation, LogNoise, ScaledTime

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
TIMES = (0.01, 0.3, 1.0)
X0, EPS = np.array([[0.3, -0.7], [0.9, 0.1]]), np.array([[1.2, -0.4], [0.2, 0.5]])


@sj.path
class Straight(sj.RectifiedFlow):
    """Rectified flow, shifted as it goes."""

    shift: float = 0.5

    def offset(self, t):
        return self.shift * jnp.square(t)


@sj.path
class Cosine(sj.GaussianPath):
    """alpha = cos(pi t / 2) and sigma = sin(pi t / 2)."""

    def log_alpha(self, t):
        return jnp.log(jnp.cos(0.5 * jnp.pi * t))

    def variance(self, t):
        return jnp.square(jnp.sin(0.5 * jnp.pi * t))


def angular(sde, t):
    angle = np.arctan2(sde.sigma(t), sde.alpha(t))
    return np.cos(angle) * EPS - np.sin(angle) * X0


def velocity(sde, t):
    return jax.jvp(lambda t: sde.alpha(t) * X0 + sde.sigma(t) * EPS, (t,), (1.0,))[1]


TARGETS = {
    sj.Epsilon: lambda sde, t: EPS,
    sj.X0: lambda sde, t: X0,
    sj.V: angular,
    sj.Velocity: velocity,
    sj.ScoreFunction: lambda sde, t: -EPS / sde.sigma(t),
}


def denoised(sde, parameterization, t, output):
    """The estimate at x_t of a network that returns `output`, and the input and label that it is given."""
    seen = []

    def network(x, label):
        seen.extend([x, label])
        return output

    return sj.denoiser(network, sde, parameterization)(sde.mix(X0, EPS, t), t), *seen


@pytest.mark.parametrize("sde", [*PATHS, Straight(), Cosine()], ids=str)
@pytest.mark.parametrize("parameterization", TARGETS)
def test_a_network_that_returns_its_target_denoises_exactly(sde, parameterization):
    for t in (0.01, 0.3, 1.0 if sde in PATHS else 0.9):
        output = TARGETS[parameterization](sde, t)
        estimate, x, label = denoised(sde, parameterization(), t, output)
        np.testing.assert_allclose(estimate, X0, rtol=1e-10)
        scale = np.hypot(sde.alpha(t), sde.sigma(t)) if parameterization is sj.V else 1.0
        np.testing.assert_allclose(x * scale, sde.alpha(t) * X0 + sde.sigma(t) * EPS, rtol=1e-10)
        np.testing.assert_allclose(label, 999 * t)


@pytest.mark.parametrize("parameterization", [sj.X0, sj.V, sj.Velocity])
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_at_either_end_of_a_straight_path_a_network_that_returns_its_target_denoises_exactly(parameterization, t):
    target = EPS - X0 if parameterization is sj.Velocity else TARGETS[parameterization](Straight(), t)
    np.testing.assert_allclose(denoised(Straight(), parameterization(), t, target)[0], X0, rtol=1e-12)


def test_of_the_velocity_the_clean_example_on_a_straight_path_is_x_less_t_times_it():
    for t in (0.0, 0.4, 1.0):
        c = sj.Velocity().coefficients(Straight(), t)
        np.testing.assert_allclose((c.skip, c.out, c.scale_in), (1.0, -t, 1.0), rtol=1e-12)


@pytest.mark.parametrize("sde", [sj.VP(), sj.SubVP(), Cosine()], ids=str)
def test_the_velocity_of_clean_data_says_nothing_new(sde):
    c = sj.Velocity().coefficients(sde, 0.0)
    np.testing.assert_allclose((c.skip, c.out), (1.0, 0.0), atol=1e-12)


@pytest.mark.parametrize("parameterization", TARGETS)
def test_a_network_is_told_the_time_by_the_label_of_its_parameterization(parameterization):
    sde, t = sj.VE(0.01, 50.0), 0.3
    sigma = 0.01 * 5000.0**t
    for label, told in [
        (ScaledTime(), 299.7),
        (ScaledTime(19.0), 5.7),
        (Deviation(), sigma),
        (LogNoise(), np.log(sigma) / 4),
        (LogNoise(8.0), 2 * np.log(sigma)),
    ]:
        np.testing.assert_allclose(parameterization(label).coefficients(sde, t).noise, told)


@pytest.mark.parametrize("label", [ScaledTime, LogNoise])
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_labels_that_do_not_grow_with_the_noise_are_refused(label, scale):
    with pytest.raises(sj.InputError, match="expected scale > 0"):
        label(scale)


@pytest.mark.parametrize("sde", PATHS, ids=str)
@pytest.mark.parametrize("sigma_data", [0.3, 1.0])
def test_edm_gives_its_network_input_and_target_of_unit_variance_uncorrelated_with_each_other(sde, sigma_data):
    for t in TIMES:
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        c = sj.EDM(sigma_data=sigma_data).coefficients(sde, t)
        variance = (alpha * sigma_data) ** 2 + sigma**2
        np.testing.assert_allclose(c.scale_in**2 * variance, 1.0)
        # target (x0 - c_skip x) / c_out: its part along x0 and its part along the noise
        parts = jnp.array([(1 - c.skip * alpha) * sigma_data, -c.skip * sigma]) / c.out
        np.testing.assert_allclose(jnp.sum(parts**2), 1.0)
        np.testing.assert_allclose(jnp.dot(parts, jnp.array([alpha * sigma_data, sigma])), 0.0, atol=1e-9 * sigma)
        assert c.out > 0


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_edm_of_a_silent_network_is_the_exact_denoiser_of_a_gaussian(sde):
    exact = sj.exact.GaussianDenoiser(sde, 0.0, 0.5**2)
    denoise = sj.denoiser(lambda x, label: jnp.zeros_like(x), sde, sj.EDM(sigma_data=0.5))
    for t in TIMES:
        np.testing.assert_allclose(denoise(X0, t), exact(X0, t), rtol=1e-9)


def test_edm_tells_its_network_a_quarter_of_the_log_noise():
    sde = sj.VE()
    for scale in (1.0, 40.0):
        label = sj.EDM(noise_scale=scale).coefficients(sde, 0.3).noise
        np.testing.assert_allclose(label, scale * np.log(sde.sigma(0.3)) / 4)


@pytest.mark.parametrize("setting", [{"sigma_data": 0.0}, {"sigma_data": -1.0}, {"noise_scale": 0.0}])
def test_edm_refuses_data_without_extent(setting):
    with pytest.raises(sj.InputError, match="expected sigma_data > 0"):
        sj.EDM(**setting)
