import itertools

import jax
import numpy as np
import pytest

import sde_jax as sj

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
PREDICTORS = [sj.EulerMaruyama(), sj.ReverseDiffusion(), sj.Ancestral()]
# every pair, of which three by default; test_steps.py has three others
PAIRS = [
    pytest.param(*pair, marks=[] if n % 4 == 0 else pytest.mark.slow)
    for n, pair in enumerate(itertools.product(PATHS, PREDICTORS))
]


def name(value):
    return type(value).__name__


def mixture(sde):
    return sj.exact.MixtureDenoiser(
        sde,
        np.array([0.25, 0.75]),
        np.array([[-1.0, 0.5], [1.0, 0.0]]),
        np.array([[[0.05, 0.02], [0.02, 0.04]], [[0.02, 0.0], [0.0, 0.06]]]),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("sde", "predictor"), PAIRS, ids=name)
def test_predictor_corrector_samples_a_mixture_in_its_proportions(sde, predictor):
    n, steps = 2000, 150
    log_snr = np.linspace(sde.log_snr(1.0), sde.log_snr(0.01), steps + 1)
    grid = np.array([1.0, *jax.vmap(sde.time_of)(log_snr[1:-1]), 0.01])
    solver = sj.PredictorCorrector(predictor, sj.Langevin(snr=0.1))
    draw = jax.jit(lambda keys: sj.sample(keys, solver, sde, mixture(sde), grid, (2,)).x)
    x = np.asarray(draw(jax.random.split(jax.random.key(0), n))) / float(sde.alpha(0.01))
    left = x[:, 0] < 0
    assert abs(left.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / n)
    for inside, mean, covariance in (
        (left, [-1.0, 0.5], [[0.05, 0.02], [0.02, 0.04]]),
        (~left, [1.0, 0.0], [[0.02, 0.0], [0.0, 0.06]]),
    ):
        covariance = np.array(covariance) + float(sde.variance(0.01)) * np.eye(2)
        variances, k = np.diag(covariance), inside.sum()
        error = np.sqrt((np.outer(variances, variances) + covariance**2) / k)
        # 4 standard errors, and 8 % of a variance for the steps' length
        np.testing.assert_array_less(np.abs(x[inside].mean(0) - mean), 4 * np.sqrt(variances / k) + 0.005)
        np.testing.assert_array_less(np.abs(np.cov(x[inside].T) - covariance), 4 * error + 0.08 * variances.max())
