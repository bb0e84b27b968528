"""The closed forms of Song et al. 2021, and the values their code recorded."""

import jax
import numpy as np
import pytest

import sde_jax as sj

TIMES = np.array([0.0, 1e-5, 1e-3, 0.01, 0.2, 0.5, 0.9, 1.0])
# 1 - exp(-x) is written -expm1(-x) here too, or these formulas would not have the digits to compare with.


def vp(t, low, high):
    beta, integral = low + t * (high - low), low * t + (high - low) * t**2 / 2
    return {"f": -beta / 2, "g2": beta, "alpha": np.exp(-integral / 2), "sigma": np.sqrt(-np.expm1(-integral))}


def subvp(t, low, high):
    integral = low * t + (high - low) * t**2 / 2
    forms = vp(t, low, high)
    return {**forms, "g2": forms["g2"] * -np.expm1(-2 * integral), "sigma": -np.expm1(-integral)}


def ve(t, low, high):
    sigma = low * (high / low) ** t
    return {"f": 0 * t, "g2": 2 * sigma**2 * np.log(high / low), "alpha": 1 + 0 * t, "sigma": sigma}


CASES = [
    (sj.VP, vp, 0.1, 20.0),
    (sj.VP, vp, 0.0, 5.0),
    (sj.SubVP, subvp, 0.1, 20.0),
    (sj.SubVP, subvp, 2.0, 3.0),
    (sj.VE, ve, 0.01, 50.0),
    (sj.VE, ve, 0.3, 378.0),
]
PAPER = [case for case in CASES if case[2:] in ((0.1, 20.0), (0.01, 50.0))]


@pytest.mark.parametrize(("path", "textbook", "low", "high"), CASES)
def test_rates_and_marginals_are_the_textbook_formulas(path, textbook, low, high):
    sde, expected = path(low, high), textbook(TIMES, low, high)
    f, g2 = jax.vmap(sde.rates)(TIMES)
    got = {"f": f, "g2": g2, "alpha": jax.vmap(sde.alpha)(TIMES), "sigma": jax.vmap(sde.sigma)(TIMES)}
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-14, err_msg=name)


@pytest.mark.parametrize(("path", "textbook", "low", "high"), PAPER)
def test_drift_is_f_x_and_diffusion_is_g(path, textbook, low, high):
    sde, x, expected = path(low, high), np.linspace(-2, 2, 6).reshape(2, 3), textbook(0.4, low, high)
    np.testing.assert_allclose(sde.drift(x, 0.4), expected["f"] * x, rtol=1e-12)
    np.testing.assert_allclose(sde.diffusion(0.4), np.sqrt(expected["g2"]), rtol=1e-12)


def test_priors_are_those_of_the_paper():
    assert sj.VP().prior_variance() == sj.SubVP().prior_variance() == 1
    np.testing.assert_allclose(sj.VE().prior_variance(), 2500.0)


@pytest.mark.parametrize(("path", "textbook", "low", "high"), PAPER)
def test_float32_keeps_its_digits_down_to_the_smallest_times(path, textbook, low, high):
    times = np.geomspace(1e-5, 1, 60).astype(np.float32)
    expected = textbook(times.astype(float), low, high)
    expected |= {"variance": expected["sigma"] ** 2, "diffusion": np.sqrt(expected["g2"])}
    with jax.enable_x64(False):
        sde = path(low, high)
        for name in ("alpha", "sigma", "variance", "diffusion"):
            value = jax.vmap(getattr(sde, name))(times)
            assert value.dtype == np.float32
            np.testing.assert_allclose(np.asarray(value, float), expected[name], rtol=5e-6, err_msg=name)


@pytest.mark.parametrize(("path", "textbook", "low", "high"), PAPER)
def test_float32_transitions_are_as_exact_as_the_log_snr(path, textbook, low, high):
    s = np.concatenate([np.geomspace(1e-5, 0.5, 40), np.linspace(0.1, 0.9, 9)]).astype(np.float32)
    t = np.concatenate([2 * s[:40], s[40:] + np.float32(1e-3)])
    at_s, at_t = (textbook(times.astype(float), low, high) for times in (s, t))
    scale = at_t["alpha"] / at_s["alpha"]
    std = np.sqrt(at_t["sigma"] ** 2 - (scale * at_s["sigma"]) ** 2)
    with jax.enable_x64(False):
        ours = [np.asarray(value, float) for value in jax.vmap(path(low, high).transition)(s, t)]
    log_snr = [np.log(at["alpha"] / at["sigma"]) for at in (at_s, at_t)]
    slack = 5e-6 + 2e-7 * (1 + np.abs(log_snr[0])) / (log_snr[0] - log_snr[1])
    np.testing.assert_allclose(ours[0], scale, rtol=5e-6)
    np.testing.assert_array_less(np.abs(ours[1] / std - 1), slack)
    if path is not sj.VE:  # VE's first steps are short in log-SNR
        np.testing.assert_allclose(ours[1][:40], std[:40], rtol=5e-6)
