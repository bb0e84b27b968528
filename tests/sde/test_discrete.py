"""The tables of the official code, and paths that pass through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.testing import check_sde

TABULATED = [sj.DDPM(), sj.DDPM(0.0, 12.0, 60), sj.DDPM(3.0, 3.0, 7), sj.SMLD(), sj.SMLD(0.1, 20.0, 30)]


@pytest.mark.parametrize("sde", TABULATED, ids=str)
def test_tabulated_paths_obey_the_laws_of_a_gaussian_sde(sde):
    check_sde(sde, kinks=np.arange(1, sde.steps - 1) / (sde.steps - 1))


def test_ddpm_tables_are_those_of_the_official_code(golden):
    record, sde = np.load(golden / "sde_vp.npz"), sj.DDPM()
    # the record's products are in float32, whose thousandth has lost three digits
    np.testing.assert_allclose(sde.betas(), record["discrete_betas"], rtol=1e-6)
    np.testing.assert_allclose(sde.alphas(), record["alphas"], rtol=1e-6)
    np.testing.assert_allclose(sde.alphas_cumprod(), record["alphas_cumprod"], rtol=1e-5)
    times = sde.time(jnp.arange(1000))
    np.testing.assert_allclose(jax.vmap(sde.alpha)(times), record["sqrt_alphas_cumprod"], rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(sde.sigma)(times), record["sqrt_1m_alphas_cumprod"], rtol=1e-5, atol=1e-6)


def test_smld_tables_are_those_of_the_official_code(golden):
    record, sde = np.load(golden / "sde_ve.npz"), sj.SMLD()
    np.testing.assert_allclose(sde.sigmas(), record["discrete_sigmas"], rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(sde.sigma)(sde.time(jnp.arange(1000))), record["discrete_sigmas"], rtol=1e-5)


@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("eps", ["0.001", "1e-05"])
@pytest.mark.parametrize(("name", "sde"), [("vp", sj.DDPM()), ("ve", sj.SMLD())])
def test_rows_and_steps_on_the_official_grids_are_those_of_the_official_code(golden, name, sde, eps, x64):
    record = np.load(golden / f"sde_{name}.npz")
    times = record[f"grid_t_{eps}"]
    with jax.enable_x64(x64):
        np.testing.assert_array_equal(jax.vmap(sde.index)(times), record[f"grid_timestep_{eps}"])
        c, noise = jax.vmap(sde.discretization)(times)
    np.testing.assert_allclose(c, record[f"grid_f_of_one_{eps}"], rtol=1e-5, atol=1e-7)  # theirs is a difference
    np.testing.assert_allclose(noise, record[f"grid_G_{eps}"], rtol=1e-5 if name == "vp" else 1e-4)


@pytest.mark.parametrize("sde", TABULATED, ids=str)
@pytest.mark.parametrize("x64", [True, False])
def test_every_row_is_in_force_from_its_own_time_on(sde, x64):
    rows = np.arange(sde.steps)
    with jax.enable_x64(x64):
        times = sde.time(rows)
        np.testing.assert_array_equal(jax.vmap(sde.index)(times), rows)
        np.testing.assert_array_equal(jax.vmap(sde.index)(times[1:] - 1e-3 / sde.steps), rows[:-1])
        labels = jax.vmap(sde.label)(times)
    expected = rows if isinstance(sde, sj.DDPM) else rows[::-1]
    np.testing.assert_allclose(labels, expected, rtol=1e-6)


@pytest.mark.parametrize("sde", TABULATED[:3], ids=str)
def test_the_chain_of_ddpm_steps_has_the_marginals_of_the_path(sde):
    times = sde.time(jnp.arange(sde.steps))
    c, noise = map(np.asarray, jax.jit(jax.vmap(sde.discretization))(times))
    alpha, variance = 1.0, 0.0
    for i in range(sde.steps):
        alpha, variance = (1 + c[i]) * alpha, (1 + c[i]) ** 2 * variance + noise[i] ** 2
        if i in (0, 1, sde.steps // 2, sde.steps - 1):
            np.testing.assert_allclose(sde.alpha(times[i]), alpha, rtol=1e-10)
            np.testing.assert_allclose(sde.variance(times[i]), variance, rtol=1e-10)


def test_the_chain_of_smld_steps_has_the_marginals_of_the_path():
    sde = sj.SMLD(0.1, 20.0, 30)
    _, noise = jax.jit(jax.vmap(sde.discretization))(sde.time(jnp.arange(30)))
    np.testing.assert_allclose(np.cumsum(noise**2), sde.sigmas() ** 2, rtol=1e-10)


def test_rates_join_the_rows_without_a_jump():
    sde = sj.DDPM(steps=50)
    before, after = jax.jit(jax.vmap(jax.vmap(sde.diffusion)))(
        sde.time(jnp.arange(1, 49)) + jnp.array([[-1e-9], [1e-9]])
    )
    np.testing.assert_allclose(before, after, rtol=1e-6)


def test_one_program_is_compiled_for_each_number_of_steps():
    log_snr = jax.jit(lambda sde, t: sde.log_snr(t))
    for steps in (10, 20):
        np.testing.assert_allclose(log_snr(sj.SMLD(steps=steps), 0.3), sj.VE().log_snr(0.3))
        np.testing.assert_allclose(log_snr(sj.DDPM(1.0, 5.0, steps), 0.3), sj.DDPM(1.0, 5.0, steps).log_snr(0.3))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sj.DDPM(steps=20),  # the last beta is 1
        lambda: sj.DDPM(beta_min=-0.1),
        lambda: sj.DDPM(5.0, 1.0),
        lambda: sj.DDPM(0.0, 0.0),
        lambda: sj.DDPM(float("nan")),
        lambda: sj.DDPM(steps=1, beta_max=0.5),
        lambda: sj.SMLD(steps=1),
        lambda: sj.SMLD(steps=10.0),  # type: ignore[arg-type]
        lambda: sj.SMLD(sigma_min=0.0),
        lambda: sj.SMLD(2.0, 1.0),
    ],
)
def test_tables_that_are_no_chain_are_refused(wrong):
    with pytest.raises(sj.InputError, match="expected"):
        wrong()


@pytest.mark.parametrize("last", [2.9, 2.9997])
def test_between_rows_of_very_different_steps_the_signal_falls_all_the_same(last):
    """Fritsch & Carlson 1980: a cubic is monotone where its slopes are at most three times the increment."""
    sde = sj.DDPM(beta_min=0.0, beta_max=last, steps=3)
    t = jnp.linspace(0, 1, 2001)
    slopes = jax.vmap(lambda t: sde.rates(t)[0])(t)
    assert slopes.max() <= 1e-12


def test_the_rate_at_a_row_is_the_mean_of_the_increments_beside_it():
    sde = sj.DDPM(steps=40)
    table = 0.5 * np.cumsum(np.log1p(-sde.betas()))
    for i in (1, 7, 38):
        f, _ = sde.rates(sde.time(i))
        np.testing.assert_allclose(f, 39 * (table[i + 1] - table[i - 1]) / 2, rtol=1e-9)
