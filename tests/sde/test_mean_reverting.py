"""IR-SDE (Luo et al. 2023), and offsets in general."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import sde_jax as sj
from sde_jax.sampling.loop import transport
from sde_jax.sde import ConstantReversion, CosineReversion
from sde_jax.testing import check_sde, check_solver

MEAN, X = np.array([2.0, -1.0, 0.5]), np.array([0.4, -0.3, 1.1])
PATHS = [
    sj.MeanReverting(MEAN, 0.2),
    sj.MeanReverting(MEAN, 1.5, ConstantReversion(0.1)),
    sj.MeanReverting(0.7, np.array([0.2, 0.4, 2.0]), CosineReversion(0.3, 0.1)),
]


@pytest.mark.slow
@pytest.mark.parametrize("sde", PATHS)
def test_mean_reverting_paths_obey_the_laws_of_a_gaussian_sde(sde):
    check_sde(sde)


@pytest.mark.parametrize("sde", PATHS)
@pytest.mark.parametrize("t", [0.05, 0.5, 1.0])
def test_the_drift_is_theta_times_the_way_to_the_mean_and_the_noise_balances_it(sde, t):
    theta = jax.grad(sde.reversion.integral)(t)
    np.testing.assert_allclose(sde.drift(X, t), theta * (sde.mean - X), rtol=1e-9)
    np.testing.assert_allclose(sde.rates(t)[1], 2 * theta * np.square(sde.deviation), rtol=1e-9)


@pytest.mark.parametrize("delta", [0.005, 0.3])
@pytest.mark.parametrize("reversion", [ConstantReversion, CosineReversion])
def test_all_but_delta_is_forgotten_at_the_end(reversion, delta):
    sde = sj.MeanReverting(MEAN, 0.2, reversion(delta))
    np.testing.assert_allclose(sde.alpha(1.0), delta, rtol=1e-12)
    np.testing.assert_allclose(sde.offset(1.0), (1 - delta) * MEAN, rtol=1e-12)
    np.testing.assert_allclose(sde.prior_mean(), MEAN)
    np.testing.assert_allclose(sde.prior_variance(), 0.04)


def test_the_cosine_rate_is_one_minus_the_cosine_schedule():
    reversion = CosineReversion(s=0.05)

    def theta(t):
        return 1 - np.cos((t + 0.05) / 1.05 * np.pi / 2) ** 2 / np.cos(0.05 / 1.05 * np.pi / 2) ** 2

    total = scipy.integrate.quad(theta, 0, 1, epsabs=1e-13)[0]
    for t in (0.01, 0.3, 1.0):
        expected = scipy.integrate.quad(theta, 0, t, epsabs=1e-15)[0] / total
        np.testing.assert_allclose(reversion.elapsed(t), expected, rtol=1e-9)
        np.testing.assert_allclose(jax.grad(reversion.elapsed)(t), theta(t) / total, rtol=1e-9)


def test_an_ancestral_step_is_the_posterior_of_the_paper():
    # A, B, C = alpha_t / alpha_s, alpha_t, alpha_s; the mean and the deviation of x_s given x_t and x_0
    sde, x0, t, s = sj.MeanReverting(MEAN, 0.3), np.array([1.0, 0.0, -1.0]), 0.6, 0.5
    b, c = np.asarray(sde.alpha(t)), np.asarray(sde.alpha(s))
    a = b / c
    mean = MEAN + a * (1 - c**2) / (1 - b**2) * (X - MEAN) + c * (1 - a**2) / (1 - b**2) * (x0 - MEAN)
    std = 0.3 * np.sqrt((1 - a**2) * (1 - c**2) / (1 - b**2))
    keys = jax.random.split(jax.random.key(0), 2)

    @jax.jit
    @jax.vmap
    def step(key):
        solver = sj.sampling.Ancestral(noise_free=False)
        z = jax.random.normal(jax.random.fold_in(key, 0), (3,))
        return transport(key, solver, sde, lambda x, t: x0 + 0 * x, jnp.asarray(X), [t, s]).x, z

    x, z = step(keys)
    np.testing.assert_allclose(x, mean + std * z, rtol=1e-12)


def test_ancestral_samples_about_a_mean_are_those_about_zero_shifted():
    keys, grid = jax.random.split(jax.random.key(0), 3), np.linspace(1, 0.01, 9)

    @jax.jit
    def run(mean):
        sde = sj.MeanReverting(mean, 0.4)
        denoise = sj.exact.GaussianDenoiser(sde, X + mean, 0.3)
        return sj.sample(keys, sj.sampling.Ancestral(), sde, denoise, grid, (3,)).x

    shifted, still = run(jnp.asarray(MEAN)), run(jnp.zeros(3))
    np.testing.assert_allclose(shifted - MEAN, still, atol=1e-12)


@pytest.mark.slow
def test_every_solver_keeps_its_order_about_a_mean():
    check_solver(sj.EulerMaruyama(), order=1, sde=sj.MeanReverting(np.array([3.0, -2.0]), 0.5, ConstantReversion(0.1)))


def test_each_example_has_a_mean_of_its_own():
    means, keys = jnp.stack([MEAN, -MEAN]), jax.random.split(jax.random.key(0), 2)
    x0 = jnp.zeros((2, 3))
    x = jax.jit(jax.vmap(lambda key, x0, mean: sj.MeanReverting(mean, 0.1).perturb(key, x0, 1.0)[0]))(keys, x0, means)
    np.testing.assert_allclose(x, means, atol=0.5)


def test_a_mean_of_another_shape_is_refused_with_both():
    with pytest.raises(sj.InputError, match=r"offset of shape \(3,\) for x of shape \(2,\)"):
        sj.MeanReverting(MEAN).perturb(jax.random.key(0), jnp.zeros(2), 0.5)
    with pytest.raises(sj.InputError, match=r"offset of shape \(3,\) for x of shape \(4, 1\)"):
        sj.MeanReverting(MEAN).prior_sample(jax.random.key(0), (4, 1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: sj.MeanReverting(0.0, 0.0), "deviation > 0"),
        (lambda: sj.MeanReverting(0.0, float("nan")), "deviation > 0"),
        (lambda: ConstantReversion(0.0), "0 < delta < 1"),
        (lambda: CosineReversion(1.0), "0 < delta < 1"),
        (lambda: CosineReversion(s=-1.0), "s >= 0"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, message):
    with pytest.raises(sj.InputError, match=f"expected {message}"):
        wrong()
