"""EDM's, the cosine and the straight path, and a user's own two functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.testing import check_sde

TIMES = np.array([1e-5, 1e-3, 0.01, 0.2, 0.5, 0.9, 1.0])


def facts(sde, times=TIMES):
    f, g2 = jax.vmap(sde.rates)(times)
    alpha, sigma, log_snr = (jax.vmap(function)(times) for function in (sde.alpha, sde.sigma, sde.log_snr))
    return {"f": f, "g2": g2, "alpha": alpha, "sigma": sigma, "log_snr": log_snr}


def require_equal(got, expected, rtol=1e-10):
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=1e-14, err_msg=name)


def test_the_edm_path_is_sigma_max_t_with_the_sde_of_its_paper():
    expected = {"f": 0 * TIMES, "g2": 2 * 80**2 * TIMES, "alpha": 1 + 0 * TIMES, "sigma": 80 * TIMES}
    require_equal(facts(sj.EDMPath()), expected)


def test_rectified_flow_is_the_straight_line_with_its_closed_rates():
    inner = TIMES[:-1]
    expected = {"alpha": 1 - inner, "sigma": inner, "f": -1 / (1 - inner), "g2": 2 * inner / (1 - inner)}
    require_equal(facts(sj.RectifiedFlow(), inner), expected)
    assert sj.RectifiedFlow().alpha(1.0) == 0
    assert sj.RectifiedFlow().prior_variance() == 1


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_straight_paths_have_the_speeds_of_straight_lines_at_both_ends(t):
    np.testing.assert_allclose(sj.RectifiedFlow().speeds(t), (-1, 1), rtol=1e-12)
    np.testing.assert_allclose(sj.EDMPath(2.0).speeds(t), (0, 2), rtol=1e-12)


def test_the_cosine_path_is_the_formula_of_its_paper_but_for_the_end():
    # cos^2 ((t + s) / (1 + s) pi/2) over its value at 0 is abar (Nichol & Dhariwal 2021, eq. 17)
    inner = TIMES[1:-1]
    abar = np.cos((inner + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    got = facts(sj.Cosine(last_log_snr=-30.0), inner)
    require_equal(got, {"alpha": np.sqrt(abar), "sigma": np.sqrt(1 - abar)}, rtol=1e-9)
    np.testing.assert_allclose(jax.vmap(sj.Cosine().alpha)(inner), np.sqrt(abar), rtol=5e-4)


@pytest.mark.parametrize("last", [-10.0, -3.0, 0.5])
def test_the_cosine_path_preserves_variance_and_ends_at_its_last_log_snr(last):
    got = facts(sj.Cosine(last_log_snr=last))
    np.testing.assert_allclose(got["log_snr"][-1], last, rtol=1e-10)
    np.testing.assert_allclose(got["alpha"] ** 2 + got["sigma"] ** 2, 1, rtol=1e-12)
    np.testing.assert_allclose(got["g2"], -2 * got["f"], rtol=1e-9)


@pytest.mark.parametrize("sde", [sj.EDMPath(), sj.RectifiedFlow(), sj.Cosine(), sj.MeanReverting(0.5, 0.2)], ids=str)
def test_float32_keeps_its_digits_down_to_the_smallest_times_and_up_to_the_last(sde):
    small = np.geomspace(1e-5, 0.5, 30).astype(np.float32)
    times = np.concatenate([small, 1 - small])
    names = ("alpha", "sigma", "variance", "diffusion", "offset")
    if isinstance(sde, sj.RectifiedFlow):
        names = names[:3]
    exact = [np.asarray(jax.vmap(getattr(sde, name))(times.astype(float))) for name in names]
    with jax.enable_x64(False):
        for name, expected in zip(names, exact, strict=True):
            value = jax.vmap(getattr(sde, name))(times)
            assert value.dtype == np.float32
            np.testing.assert_allclose(np.asarray(value, float), expected, rtol=1e-5, err_msg=name)


def test_a_schedule_is_the_path_of_its_two_functions():
    vp = sj.VP(0.3, 7.0)
    require_equal(facts(sj.Schedule(vp.log_alpha, vp.variance)), facts(vp))


@pytest.mark.parametrize(
    "sde",
    [
        sj.Schedule(lambda t: jnp.log1p(-t), jnp.square),
        sj.Schedule(lambda t: -t * jnp.array([1.0, 3.0]), lambda t: t * jnp.array([[0.5], [4.0]])),
    ],
    ids=["straight", "diagonal"],
)
def test_schedules_obey_the_laws_of_a_gaussian_sde(sde):
    check_sde(sde)


def test_a_schedule_passes_through_transformations_with_the_leaves_of_its_functions():
    def brownian(volatility):
        growth = jax.tree_util.Partial(lambda v, t: v**2 * t, volatility)
        return sj.Schedule(jax.tree_util.Partial(jnp.zeros_like), growth)

    slope = jax.jit(jax.grad(lambda sde: sde.variance(0.5)))(brownian(3.0))
    assert jax.tree.leaves(slope) == [3.0]
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda v: brownian(v).sigma(0.25)))(jnp.array([1.0, 4.0])), [0.5, 2.0])


def test_a_schedule_whose_signal_to_noise_does_not_fall_is_refused_with_the_time():
    with pytest.raises(sj.InputError, match=r"Schedule.* does not fall between t = 0.5 and t = 0.5039"):
        sj.Schedule(jnp.zeros_like, lambda t: 0.01 + t * (1 - t))
    with pytest.raises(sj.InputError, match=r"does not fall between t = 0 and t = 0.0039"):
        sj.Schedule(jnp.zeros_like, lambda t: jnp.array([1.0, 2.0]) + t * jnp.array([1.0, 0.0]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: sj.EDMPath(0.0), "sigma_max > 0"),
        (lambda: sj.EDMPath(float("inf")), "sigma_max > 0"),
        (lambda: sj.EDMPath(float("nan")), "sigma_max > 0"),
        (lambda: sj.Cosine(s=-0.1), "s >= 0"),
        (lambda: sj.Cosine(s=float("nan")), "s >= 0"),
        (lambda: sj.Cosine(last_log_snr=float("-inf")), "finite last_log_snr"),
        (lambda: sj.Cosine(last_log_snr=float("nan")), "finite last_log_snr"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, message):
    with pytest.raises(sj.InputError, match=f"expected (a )?{message}"):
        wrong()


def test_an_example_that_the_schedule_does_not_fit_is_refused_with_both_shapes():
    sde, key = sj.VE(0.1, jnp.array([10.0, 20.0])), jax.random.key(0)
    for draw in (lambda: sde.perturb(key, jnp.zeros((2, 3)), 0.5), lambda: sde.prior_sample(key, (2, 3))):
        with pytest.raises(sj.InputError, match=r"variance of shape \(2,\) for x of shape \(2, 3\)"):
            draw()
    with pytest.raises(sj.InputError, match=r"\(2,\) for x of shape \(\)"):
        sde.prior_log_prob(jnp.zeros(()))
    assert sde.perturb(key, jnp.zeros((3, 2)), 0.5)[0].shape == (3, 2)
