import jax
import numpy as np
import pytest
from scipy.special import expit

import sde_jax as sj
from sde_jax.objective import P2, FlowMatching, MinSNR, Sigmoid

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
X0, EPS, GUESS = np.array([0.3, -0.7, 0.9]), np.array([1.2, -0.4, 0.2]), np.array([0.1, -0.2, 0.5])
TIMES = (0.02, 0.1, 0.3, 0.6, 1.0)


def losses(sde, weighting, t):
    """The loss of the guess of the noise, the squared error of that guess, and the signal-to-noise ratio."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    estimate = (sde.mix(X0, EPS, t) - sigma * GUESS) / alpha
    loss = float(weighting.weight(sde, t)) * np.mean((estimate - X0) ** 2)
    return loss, np.mean((GUESS - EPS) ** 2), (alpha / sigma) ** 2


@pytest.mark.parametrize("sde", PATHS, ids=str)
@pytest.mark.parametrize(
    ("weighting", "of_epsilon"),
    [
        (sj.Simple(), lambda snr: 1.0),
        (sj.EDMWeighting(0.7), lambda snr: 1 + 1 / (0.49 * snr)),
        (MinSNR(), lambda snr: min(snr, 5.0) / snr),
        (MinSNR(0.3), lambda snr: min(snr, 0.3) / snr),
        (P2(), lambda snr: 1 / (1 + snr)),
        (P2(0.4, 0.5), lambda snr: (0.4 + snr) ** -0.5),
        (Sigmoid(), lambda snr: expit(-np.log(snr))),
        (Sigmoid(-3.0), lambda snr: expit(-3.0 - np.log(snr))),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_a_weighting_is_its_papers_weight_of_the_squared_error_of_the_noise(sde, weighting, of_epsilon):
    for t in TIMES:
        loss, error, snr = losses(sde, weighting, t)
        np.testing.assert_allclose(loss, of_epsilon(snr) * error, rtol=1e-8)


def test_min_snr_is_its_papers_weight_of_the_squared_error_of_v():
    sde = sj.VP()  # v = alpha eps - sigma x0, of which the paper's VP is meant
    for t in TIMES:
        loss, _, snr = losses(sde, MinSNR(), t)
        alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
        estimate = (sde.mix(X0, EPS, t) - sigma * GUESS) / alpha
        error = np.mean((alpha * (GUESS - EPS) - sigma * (estimate - X0)) ** 2)
        np.testing.assert_allclose(loss, min(snr, 5.0) / (snr + 1) * error, rtol=1e-8)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_flow_matching_is_the_squared_error_of_the_velocity(sde):
    for t in TIMES:
        loss, _, _ = losses(sde, FlowMatching(), t)
        estimate = (sde.mix(X0, EPS, t) - sde.sigma(t) * GUESS) / sde.alpha(t)

        def velocity(x0, eps, t=t):
            return jax.jvp(lambda t: sde.mix(x0, eps, t), (t,), (1.0,))[1]

        error = np.mean((velocity(estimate, GUESS) - velocity(X0, EPS)) ** 2)
        np.testing.assert_allclose(loss, error, rtol=1e-8)


@pytest.mark.parametrize(
    ("weighting", "setting", "told"),
    [
        (MinSNR, {"gamma": 0.0}, "expected gamma > 0"),
        (P2, {"k": 0.0}, "expected k > 0"),
        (P2, {"gamma": -1.0}, "expected gamma >= 0"),
        (Sigmoid, {"bias": float("nan")}, "expected a finite bias"),
        (sj.EDMWeighting, {"sigma_data": 0.0}, "expected sigma_data > 0"),
    ],
)
def test_weights_out_of_range_are_refused(weighting, setting, told):
    with pytest.raises(sj.InputError, match=told):
        weighting(**setting)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_likelihood_weights_the_squared_error_of_the_score_by_g_squared(sde):
    for t in TIMES:
        loss, error, _ = losses(sde, sj.Likelihood(), t)
        g2, variance = float(sde.diffusion(t)) ** 2, float(sde.variance(t))
        np.testing.assert_allclose(loss, g2 * error / variance, rtol=1e-5)
