"""Likelihoods of data far narrower than 1: what the start and the tolerance leave of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.likelihood import start_below

N = 64


def drawn(deviation, mean=0.0):
    return mean + deviation * np.random.default_rng(0).normal(size=(4, N))


def bits_off(sde, deviation, x, mean=0.0, **settings):
    """How far the log-likelihood is from the closed form of x(start), in bits a dimension, and its blur."""
    exact = sj.exact.GaussianDenoiser(sde, mean, deviation**2)
    key, start = jax.random.key(0), settings.get("start", 1e-5)

    @jax.jit
    @jax.vmap
    def one(x):
        found = sj.log_likelihood(key, sde, exact, x, divergence=sj.Exact(), **settings)
        return found.value - exact.log_prob(x, start), found.blur, found.evaluations

    off, blur, evaluations = map(np.asarray, one(jnp.asarray(x)))
    return np.abs(off) / N / np.log(2), blur, evaluations


@pytest.mark.parametrize("deviation", [0.01, 0.001])
@pytest.mark.parametrize("sde", [sj.EDMPath(), sj.VE(sigma_min=1e-4), sj.VP()], ids=lambda sde: type(sde).__name__)
def test_the_default_tolerance_is_one_of_narrow_data_too(sde, deviation):
    off, _, evaluations = bits_off(sde, deviation, drawn(deviation, 0.3), 0.3)
    assert np.all(off < 1e-3), off
    assert np.all(evaluations < 600)


def test_blur_is_the_share_of_the_noise_in_x_at_the_start():
    sde, start = sj.VP(), 1e-3
    variance = sde.alpha(start) ** 2 * 0.05**2 + sde.variance(start)
    x = np.sqrt(variance) * drawn(1.0)
    _, blur, _ = bits_off(sde, 0.05, x, start=start)
    np.testing.assert_allclose(blur, sde.variance(start) / variance * np.mean(drawn(1.0) ** 2, axis=1), rtol=1e-6)


def test_a_start_at_which_the_noise_is_not_small_beside_the_data_warns_and_an_earlier_one_does_not():
    sde, x, key = sj.EDMPath(), drawn(1e-3)[0], jax.random.key(0)
    exact = sj.exact.GaussianDenoiser(sde, 0.0, 1e-6)
    with pytest.warns(UserWarning, match=r"start = 1e-05 .*small beside the data.*start_below"):
        sj.log_likelihood(key, sde, exact, x)
    start = start_below(sde, 1e-3)
    np.testing.assert_allclose(sde.sigma(start), 0.05 * 1e-3, rtol=1e-6)
    found = sj.log_likelihood(key, sde, exact, x, start=start, divergence=sj.Exact())
    off = np.abs(found.value - exact.log_prob(x, 0.0)) / N / np.log(2)
    assert off < 1e-3, off
    assert found.blur < 0.1


def test_a_start_is_never_later_than_the_usual_one_and_0_where_none_is_early_enough():
    assert start_below(sj.VP(), 1.0) == 1e-5
    assert start_below(sj.VE(), 1e-3) == 0
    with pytest.raises(sj.InputError, match="expected numbers above 0"):
        start_below(sj.VP(), 0.0)


def test_levels_choose_the_start_unless_it_is_given():
    starts, image = [], np.zeros(3, int)

    def bound(key, sde, denoise, x, start):
        starts.append(float(start))
        return sj.log_likelihood(key, sde, denoise, x, start=1e-3)

    def scored(sde, levels, **settings):
        exact = sj.exact.GaussianDenoiser(sde, 0.0, 1.0)
        return sj.bits_per_dim(jax.random.key(0), sde, exact, image, sj.Quantization(levels), bound=bound, **settings)

    scored(sj.EDMPath(), 17)
    scored(sj.EDMPath(), 2**16)
    assert scored(sj.EDMPath(), 2**16, start=1e-9).blur > 0
    np.testing.assert_allclose(starts, [1e-5, 2 / 2**16 / 10 / 80, 1e-9], rtol=1e-5)
