"""Shifted, transformed and otherwise timed paths; geometric Brownian motion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import sde_jax as sj
from sde_jax.sde import ConstantReversion
from sde_jax.testing import check_sde

KEY = jax.random.key
DRIFT = np.array([0.3, -2.0])
REVERTING = sj.MeanReverting(DRIFT, 0.4, ConstantReversion())
COMBINED = {
    "shifted": sj.Shifted(sj.VP(), lambda t: t**2 * DRIFT),
    "shifted twice": sj.Shifted(REVERTING, jnp.sin),
    "transformed": sj.Transformed(sj.SubVP(), sj.Logit(-1.0, 3.0)),
    "transformed twice": sj.Transformed(sj.Transformed(sj.VE(), sj.Affine(2.0, DRIFT)), sj.Log()),
    "geometric Brownian": sj.geometric_brownian(DRIFT, np.array([1.0, 3.0])),
    "timed": sj.TimeChange(REVERTING, lambda t: (t + t**3) / 2),
    "centred": sj.sde.Centred(REVERTING),
    "brownian": sj.sde.Brownian(2.0),
}


@pytest.mark.parametrize("sde", COMBINED.values(), ids=COMBINED.keys())
def test_combinations_obey_the_laws_of_a_gaussian_sde(sde):
    check_sde(sde)


@pytest.mark.parametrize("sde", COMBINED.values(), ids=COMBINED.keys())
def test_combinations_pass_through_compiled_functions(sde):
    inside = jax.jit(lambda sde, t: (sde.log_snr(t), sde.offset(t), sde.prior_mean()))(sde, 0.3)
    outside = sde.log_snr(0.3), sde.offset(0.3), sde.prior_mean()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), inside, outside)


def test_a_shift_adds_to_the_offset_and_its_speed_to_the_drift():
    path, sde, x = REVERTING, COMBINED["shifted twice"], np.array([0.2, 0.9])
    np.testing.assert_allclose(sde.offset(0.4), path.offset(0.4) + np.sin(0.4), rtol=1e-12)
    # the drift of the path where x is without the shift
    np.testing.assert_allclose(sde.drift(x, 0.4), path.drift(x - np.sin(0.4), 0.4) + np.cos(0.4), rtol=1e-9)
    np.testing.assert_allclose(sde.prior_mean(), DRIFT + np.sin(1.0), rtol=1e-12)


def test_a_mean_reverting_path_is_a_shifted_one():
    sde = REVERTING
    about_zero = sj.MeanReverting(0.0, 0.4, ConstantReversion())
    shifted = sj.Shifted(about_zero, lambda t: -jnp.expm1(about_zero.log_alpha(t)) * DRIFT)
    x = np.array([0.2, 0.9])
    np.testing.assert_allclose(shifted.drift(x, 0.4), sde.drift(x, 0.4), rtol=1e-9)
    np.testing.assert_allclose(shifted.offset(0.4), sde.offset(0.4), rtol=1e-12)


def test_a_clock_changes_the_time_of_every_marginal_and_the_speed_of_the_rates():
    path, sde, t = REVERTING, COMBINED["timed"], 0.6
    clock, speed, x = (t + t**3) / 2, (1 + 3 * t**2) / 2, np.array([0.2, 0.9])
    for name in ("alpha", "sigma", "log_snr", "offset"):
        np.testing.assert_allclose(getattr(sde, name)(t), getattr(path, name)(clock), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(sde.drift(x, t), speed * path.drift(x, clock), rtol=1e-9)
    np.testing.assert_allclose(sde.rates(t)[1], speed * path.rates(clock)[1], rtol=1e-9)


def test_geometric_brownian_motion_is_log_normal():
    growth, volatility, start, t = DRIFT, np.array([0.5, 1.2]), np.array([2.0, 0.1]), 0.7
    sde, x = sj.geometric_brownian(growth, volatility), np.array([1.3, 0.4])
    y = sde.from_data(jnp.asarray(x))
    mean = sde.alpha(t) * sde.from_data(jnp.asarray(start)) + sde.offset(t)
    ours = scipy.stats.norm.logpdf(y, mean, sde.sigma(t)).sum() + sde.log_volume(jnp.asarray(x))
    spread = volatility * np.sqrt(t)
    median = start * np.exp((growth - volatility**2 / 2) * t)
    np.testing.assert_allclose(ours, scipy.stats.lognorm.logpdf(x, spread, scale=median).sum(), rtol=1e-10)
    # whose mean grows as growth says (Ito)
    mean_of_data = np.exp(np.asarray(mean) + np.asarray(sde.variance(t)) / 2)
    np.testing.assert_allclose(mean_of_data, start * np.exp(growth * t), rtol=1e-10)
    np.testing.assert_allclose(sde.to_data(y), x, rtol=1e-12)


def test_samples_of_positive_data_are_positive_and_log_normal():
    sde = sj.geometric_brownian(volatility=6.0)
    denoise = sj.exact.GaussianDenoiser(sde, 0.5, 0.09)
    keys, grid = jax.random.split(KEY(0), 2000), np.linspace(1, 0, 101) ** 3
    x = jax.jit(lambda keys: sj.sample(keys, sj.sampling.Ancestral(), sde, denoise, grid, ()).x)(keys)
    assert x.min() > 0
    np.testing.assert_allclose((np.log(x).mean(), np.log(x).std()), (0.5, 0.3), atol=0.03)


@pytest.mark.parametrize(
    ("bijection", "data"),
    [(sj.Log(), [0.1, 2.0, 30.0]), (sj.Logit(-1.0, 3.0), [-0.9, 0.0, 2.9]), (sj.Affine(-2.0, 0.5), [-1.0, 0.0, 4.0])],
)
def test_bijections_are_inverted_and_know_their_volume(bijection, data):
    data = jnp.asarray(data, float)
    np.testing.assert_allclose(bijection.inverse(bijection.forward(data)), data, rtol=1e-12)
    expected = jnp.linalg.slogdet(jax.jacobian(bijection.forward)(data))[1]
    np.testing.assert_allclose(bijection.log_volume(data), expected, rtol=1e-10)


def test_the_volume_of_maps_within_maps_is_that_of_what_they_do_together():
    """log |det| of x_0 = log(logit(data)) + ...: every map's volume is taken where the maps before it lead."""
    inner = sj.Transformed(sj.Transformed(sj.VP(), sj.Affine(0.5, 0.2)), sj.Log())
    sde = sj.Transformed(inner, sj.Affine(jnp.array([2.0, 3.0, 0.5]), 4.0))
    data = jnp.array([-1.0, 0.3, 2.0])
    expected = jnp.linalg.slogdet(jax.jacobian(sde.from_data)(data))[1]
    np.testing.assert_allclose(sde.log_volume(data), expected, rtol=1e-10)
    np.testing.assert_allclose(sde.to_data(sde.from_data(data)), data, rtol=1e-10)


def test_an_affine_map_of_numbers_counts_every_number_of_the_data():
    np.testing.assert_allclose(sj.Affine(3.0).log_volume(jnp.zeros((2, 5))), 10 * np.log(3.0))


def test_data_outside_of_a_bijections_domain_are_refused():
    with pytest.raises(sj.InputError, match=r"data from -0.5 to 3: expected .* add an offset to all .* \(above 0.5\)"):
        sj.Log().forward(jnp.array([-0.5, 3.0]))
    with pytest.raises(sj.InputError, match=r"data from 0 to 0.5: expected numbers between 0 and 1"):
        sj.Logit().forward(jnp.array([0.0, 0.5]))
    with pytest.raises(sj.InputError, match="data from nan"):
        sj.Log().forward(jnp.array([jnp.nan, 3.0]))
    for bijection in (sj.Log(), sj.Logit()):
        with pytest.raises(Exception, match="data outside the domain of the bijection"):
            jax.block_until_ready(jax.jit(bijection.forward)(jnp.array([-0.5, 0.3])))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: sj.Shifted(sj.VP(), lambda t: t + 0.5), r"shift\(0\) = 0.5: expected 0"),
        (lambda: sj.TimeChange(sj.VP(), lambda t: t + 0.1), r"clock\(0\) = 0.1: expected 0"),
        (lambda: sj.TimeChange(sj.VP(), lambda t: 0.9 * t), r"clock\(1\) = 0.9: expected 1"),
        (lambda: sj.TimeChange(sj.VP(), lambda t: 4 * t**2 - 3 * t), r"does not rise between t = 0 and t = 0.0039"),
        (lambda: sj.Logit(1.0, 1.0), "expected low < high"),
        (lambda: sj.Logit(0.0, float("inf")), "expected low < high"),
        (lambda: sj.Affine(0.0), "expected a finite scale that is not 0"),
        (lambda: sj.Affine(np.array([1.0, np.nan])), "expected a finite scale that is not 0"),
        (lambda: sj.geometric_brownian(0.0, 0.0), "expected volatility > 0"),
    ],
)
def test_what_is_no_path_is_refused(wrong, message):
    with pytest.raises(sj.InputError, match=message):
        wrong()
