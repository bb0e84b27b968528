"""Each sample has a mean of its own to come from: the kernel about given means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import sample_given, transport
from sde_jax.sde import Restoration

SDE = Restoration(0.4)
KEYS = jax.random.split(jax.random.key(0), 4)
MEANS = jnp.array([[0.0, 0.0], [3.0, -1.0], [-0.5, 0.2], [10.0, 10.0]])
GRID = sj.sampling.LogSNR().times(SDE, 8, 0.01)


def about(denoiser_of, solver, means, keys=KEYS, grid=GRID):
    def draw(keys, means):
        facts = {"channels": means}
        return sample_given(
            keys, facts, solver, SDE, lambda f: denoiser_of(SDE.given(f), f["channels"]), grid, (2,), 0, SDE.given
        )

    return jax.jit(draw)(keys, means).x


@pytest.mark.parametrize("churn", [0.0, 1.0])
@pytest.mark.parametrize("order", [1, 2])
def test_samples_about_means_are_those_about_zero_shifted(order, churn):
    def gaussian(sde, mean):
        return sj.exact.GaussianDenoiser(sde, mean + np.array([0.4, -0.3]), 0.3)

    solver = sj.DPMSolverMultistep(order=order, churn=churn)
    shifted, still = about(gaussian, solver, MEANS), about(gaussian, solver, 0 * MEANS)
    np.testing.assert_allclose(shifted - MEANS, still, atol=1e-12)


def test_the_data_and_the_noise_form_of_the_first_order_step_are_one():
    mean, x, t, s = jnp.array([2.0, -1.0]), jnp.array([0.4, -0.3]), 0.6, 0.5
    sde = SDE.given({"channels": mean})
    denoise = sj.exact.GaussianDenoiser(sde, mean + 0.2, 0.3)
    ours = transport(KEYS[0], sj.DDIM(), sde, denoise, x, [t, s]).x
    b, a, sigma = zip(*((sde.offset(u), sde.alpha(u), sde.sigma(u)) for u in (t, s)), strict=True)
    eps = (x - b[0] - a[0] * denoise(x, t)) / sigma[0]
    h = sde.log_snr(s) - sde.log_snr(t)
    noise_form = b[1] + a[1] / a[0] * (x - b[0]) - sigma[1] * jnp.expm1(h) * eps
    np.testing.assert_allclose(ours, noise_form, rtol=1e-12)
    ratio = sigma[1] / sigma[0]
    data_form = ratio * x - a[1] * jnp.expm1(-h) * denoise(x, t) + mean * (1 - a[1] - ratio * (1 - a[0]))
    np.testing.assert_allclose(ours, data_form, rtol=1e-12)


@pytest.mark.slow
def test_a_mixture_about_each_mean_comes_out_in_its_proportions():
    def mixture(sde, mean):
        return sj.exact.MixtureDenoiser(sde, np.array([0.3, 0.7]), jnp.stack([mean - 1, mean + 1]), jnp.full(2, 0.02))

    n = 1500
    means = jnp.repeat(jnp.array([[0.0, 0.0], [5.0, -5.0]]), n, 0)
    fine, keys = sj.sampling.LogSNR().times(SDE, 60, 0.01), jax.random.split(KEYS[0], 2 * n)
    x = about(mixture, sj.DPMSolverMultistep(order=2, churn=1.0), means, keys, fine) - means
    for part in (x[:n], x[n:]):
        left = part[:, 0] < 0
        assert abs(left.mean() - 0.3) < 0.05
        np.testing.assert_allclose(part[left].mean(0), -1, atol=0.05)
        np.testing.assert_allclose(part[~left].mean(0), 1, atol=0.05)


def test_the_prior_is_biased_by_delta_of_the_way_from_the_mean():
    m = jnp.array([0.7, 0.7])
    for mean in MEANS:
        sde = SDE.given({"channels": mean})
        bias = sde.alpha(1.0) * m + sde.offset(1.0) - sde.prior_mean()
        np.testing.assert_allclose(bias, sde.reversion.delta * (m - mean), atol=1e-12)


def test_what_is_not_given_is_reverted_to_zero_and_nothing_given_is_refused():
    sde = SDE.given({"channels": jnp.array([jnp.nan, 2.0])})
    np.testing.assert_array_equal(sde.prior_mean(), [0.0, 2.0])
    with pytest.raises(sj.InputError, match="given label: expected the degraded example as `channels`"):
        SDE.given({"label": jnp.zeros(())})
    with pytest.raises(sj.InputError, match="given nothing"):
        sj.sample(KEYS, sj.DDIM(), SDE, lambda x, t: x, GRID, (2,))
    with pytest.raises(sj.InputError, match="deviation > 0"):
        Restoration(0.0)
    wrapped = sj.TimeChange(SDE, lambda t: t**2)
    np.testing.assert_array_equal(wrapped.given({"channels": MEANS[1]}).prior_mean(), MEANS[1])
