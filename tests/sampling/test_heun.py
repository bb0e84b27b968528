"""Heun's method on the probability flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
KEY = jax.random.key(0)


@pytest.mark.parametrize(("sde", "last"), [(sj.VP(), 1), (sj.VE(), 2)], ids=str)
def test_the_step_to_a_time_without_noise_is_eulers_and_counts_one_evaluation(sde, last):
    solver, denoise = sj.sampling.Heun(), sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    draw = jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, np.array([1.0, 0.6, 0.2, 0.0]), (2,)))
    samples = draw(jax.random.split(KEY, 3))
    np.testing.assert_array_equal(samples.evaluations, 2 + 2 + last)
    assert np.all(np.isfinite(samples.x))
    (heun, _), (euler, _) = (
        each.step(KEY, 3 * MEAN, 0.2, 0.0, (), sde=sde, denoise=denoise)
        for each in (solver, sj.EulerMaruyama(churn=0.0))
    )
    assert np.allclose(heun.x, euler.x, rtol=1e-12) == (last == 1)


def test_a_step_is_the_trapezoid_through_eulers_point():
    sde, x, t, s = sj.VP(), jnp.array([0.7, -1.2]), 0.6, 0.45
    denoise = sj.exact.MixtureDenoiser(sde, [0.4, 0.6], [[1.0, 0.0], [-1.0, 0.5]], [0.1, 0.2])
    v = lambda x, t: sde.drift(x, t) - 0.5 * sde.rates(t)[1] * sj.score_of(denoise, sde)(x, t)  # noqa: E731
    euler = x + (s - t) * v(x, t)
    step, _ = sj.sampling.Heun().step(jax.random.key(0), x, t, s, (), sde=sde, denoise=denoise)
    np.testing.assert_allclose(step.x, x + 0.5 * (s - t) * (v(x, t) + v(euler, s)), rtol=1e-6)
