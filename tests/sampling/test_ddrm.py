import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import measurement as m
from sde_jax.errors import InputError
from sde_jax.sampling import DDRM

TRUTH = np.random.default_rng(0).normal(size=(4, 4, 1))
SDE = sj.VP()
KERNEL = np.array([[0.0, 0.1, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.0]])


@pytest.mark.parametrize("operator", [m.Identity(), m.MeanPool(2), m.Blur(KERNEL)], ids=["half", "pool", "blur"])
@pytest.mark.parametrize("eta_b", [1.0, 0.6])
def test_a_step_from_the_truth_has_the_marginal_of_the_forward_process(operator, eta_b):
    """With D = x0, over the noises of y and of the step, x_s ~ N(alpha_s x0, sigma_s^2), whatever is measured."""
    x0, noise, (t, s) = jnp.asarray(TRUTH), m.Independent(0.3), (0.5, 0.3)

    def step(key):
        first, second, third = jax.random.split(key, 3)
        measurement = m.measure(first, operator, x0, noise)
        value = measurement.value
        if isinstance(operator, m.Identity):  # half of it
            value = value.at[:, ::2].set(jnp.nan)
        x = SDE.perturb(second, x0, t)[0]
        solver = DDRM(m.Measurement(operator, value, noise), eta_b=eta_b)
        return solver.step(third, x, t, s, (), sde=SDE, denoise=lambda x, t: x0)[0].x

    x = np.asarray(jax.jit(jax.vmap(step))(jax.random.split(jax.random.key(0), 20_000)))
    z = (x - SDE.alpha(s) * TRUTH) / SDE.sigma(s)
    assert np.abs(z.mean(0)).max() < 4.5 / np.sqrt(20_000)
    assert np.abs(z.std(0) - 1).max() < 4.5 / np.sqrt(2 * 20_000)


def test_what_is_measured_well_is_kept_and_what_is_not_comes_from_the_prior():
    prior = sj.exact.GaussianDenoiser(SDE, np.full(16, 0.5), 1.0)
    y = jnp.asarray(TRUTH).at[:, ::2].set(jnp.nan)
    solver = DDRM(m.Measurement(m.Identity(), y, m.Independent(0.01)))
    grid, keys = sj.grids.LogSNR().times(SDE, 30, 0.0), jax.random.split(jax.random.key(0), 500)
    x = np.asarray(sj.sample(keys, solver, SDE, prior, grid, (4, 4, 1)).x)
    assert np.abs(x[:, :, 1::2] - TRUTH[:, 1::2]).max() < 0.06
    assert x[:, :, ::2].mean() == pytest.approx(0.5, abs=4 / np.sqrt(500 * 8))


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: DDRM(m.Measurement(m.Identity(), TRUTH, m.Independent(0.1)), eta=2.0), "eta = 2"),
        (lambda: DDRM(m.Measurement(m.Identity(), TRUTH, m.Correlated(np.eye(16)))), "one number"),
        (
            lambda: DDRM(m.Measurement(m.Bicubic(), TRUTH[::2, ::2], m.Independent(0.1))).step(
                jax.random.key(0), jnp.asarray(TRUTH), 0.5, 0.3, (), sde=SDE, denoise=lambda x, t: x
            ),
            "not known in closed form",
        ),
        (
            lambda: DDRM(m.Measurement(m.Blur(KERNEL), np.full((4, 4, 1), np.nan), m.Independent(0.1))).step(
                jax.random.key(0), jnp.asarray(TRUTH), 0.5, 0.3, (), sde=SDE, denoise=lambda x, t: x
            ),
            "16 missing values",
        ),
    ],
)
def test_measurements_that_it_cannot_use_are_refused(act, told):
    with pytest.raises(InputError, match=told):
        act()
