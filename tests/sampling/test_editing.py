import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import sde_jax as sj
from sde_jax.sampling.editing import Interval, edit, inverted, langevin, sdedit

SDE, MEAN, VARIANCE = sj.VP(), 0.4, 0.3
KEY = jax.random.key(0)


def gaussian(sde=SDE):
    return sj.exact.GaussianDenoiser(sde, MEAN, VARIANCE)


def flowed(sde, x, s, t):
    """The exact probability flow of N(MEAN, VARIANCE) from s to t."""
    (a, v, b), (c, w, d) = ((sde.alpha(t), sde.variance(t), sde.offset(t)) for t in (s, t))
    return d + c * MEAN + jnp.sqrt((c**2 * VARIANCE + w) / (a**2 * VARIANCE + v)) * (x - b - a * MEAN)


def grid(steps, top=0.5):
    return sj.sampling.LogSNR().times(SDE, steps, 0.05, top)


@pytest.mark.parametrize("sde", [SDE, sj.MeanReverting(0.7)], ids=["vp", "mean_reverting"])
@pytest.mark.parametrize(("solver", "order"), [(sj.DDIM(), 1), (sj.sampling.Heun(), 2)], ids=["ddim", "heun"])
def test_encoding_up_the_grid_is_the_exact_flow_to_the_order_of_the_solver(sde, solver, order):
    x = jnp.array([-1.0, 0.2, 1.5])
    errors = []
    for steps in (20, 40):
        up = inverted(sde, gaussian(sde), x, grid(steps), solver=solver)
        errors.append(float(jnp.max(jnp.abs(up.x - flowed(sde, x, 0.05, 0.5)))))
    assert np.log2(errors[0] / errors[1]) > order - 0.2
    assert errors[1] < 0.1


def test_without_moves_and_clipping_an_edit_gives_the_example_back():
    x = jnp.array([-1.0, 0.2, 1.5])
    coarse, fine = (edit(KEY, SDE, gaussian(), x, grid(steps), step=0.0, count=3) for steps in (20, 80))
    errors = [np.max(np.abs(coded.x - x)) for coded in (coarse, fine)]
    assert errors[1] < errors[0] / 3.3
    assert errors[1] < 0.03
    assert fine.evaluations == 163


def test_the_flow_to_an_intermediate_time_and_back_is_exact():
    x, tight = jnp.array([-1.0, 0.2, 1.5]), sj.Tolerance(rtol=1e-8, atol=1e-8)
    up = sj.encode(SDE, gaussian(), x, tolerance=tight, end=0.5)
    np.testing.assert_allclose(up.x, flowed(SDE, x, 1e-5, 0.5), rtol=1e-6)
    np.testing.assert_allclose(sj.decode(SDE, gaussian(), up.x, tolerance=tight, end=0.5).x, x, rtol=1e-6)
    with pytest.raises(sj.InputError, match=r"end = 1\.5: expected start = 1e-05 < end <= 1"):
        sj.encode(SDE, gaussian(), x, end=1.5)


def test_langevin_moves_have_the_stationary_variance_of_their_step_and_end_without_noise():
    t, n, step = 0.5, 200_000, 0.8
    v, e = float(SDE.alpha(t) ** 2 * VARIANCE + SDE.variance(t)), step * float(SDE.variance(t))
    x = langevin(KEY, SDE, gaussian(), jnp.zeros(n), t, step=step, count=40)
    np.testing.assert_allclose(x.mean(), SDE.alpha(t) * MEAN, atol=0.01)
    np.testing.assert_allclose(x.var(), (1 - e / v) ** 2 * v / (1 - e / (2 * v)), rtol=0.02)


def test_an_outlier_becomes_likelier_with_every_move():
    t, denoise = 0.3, gaussian()
    x = jnp.full(500, MEAN + 20 * np.sqrt(VARIANCE))
    found = [denoise.log_prob(langevin(KEY, SDE, denoise, x, t, count=count), t) for count in (0, 1, 3, 9, 27)]
    assert np.all(np.diff(found) > 0)


def test_the_interval_holds_noised_data_and_leaves_what_it_holds():
    sde, k = sj.MeanReverting(0.7, 0.8), 1.7
    interval = Interval(-1.0, 1.0, k)
    x0 = jnp.linspace(-1, 1, 40_000)
    for t in (0.2, 0.6):
        x, _ = sde.perturb(KEY, x0, t)
        clipped = interval.clipped(x, t, sde)
        outside = clipped != x
        assert outside.mean() < 2 * norm.cdf(-k) + 0.005
        np.testing.assert_array_equal(interval.clipped(clipped, t, sde), clipped)
        anchored = Interval.around(x0, k).clipped(x, t, sde)
        moved = np.abs(anchored - sde.mix(x0, jnp.zeros(()), t))
        np.testing.assert_allclose(moved.max(), k * sde.sigma(t), rtol=1e-9)
        np.testing.assert_allclose((anchored != x).mean(), 2 * norm.cdf(-k), rtol=0.1)


def test_clipping_keeps_an_encoded_outlier_within_the_interval():
    x, at = jnp.array([-9.0, 0.1, 9.0]), grid(20)
    interval = Interval(-1.0, 1.0, 2.0)
    up = inverted(SDE, gaussian(), x, at, interval=interval).x
    np.testing.assert_allclose(interval.clipped(up, 0.5, SDE), up, rtol=1e-12)
    free = inverted(SDE, gaussian(), x, at).x
    np.testing.assert_allclose(up[1], free[1], rtol=1e-9)
    assert np.all(np.abs(up[::2]) < np.abs(free[::2]))


def test_a_point_between_modes_moves_to_the_nearer_one():
    denoise = sj.exact.MixtureDenoiser(SDE, np.ones(2), np.array([[-1.0], [1.0]]), np.array([0.01, 0.01]))
    one = jax.jit(
        lambda key, x: edit(key, SDE, denoise, x, sj.sampling.LogSNR().times(SDE, 20, 0.01, 0.06), step=0.3, count=40).x
    )
    for start in (-0.7, 0.7):
        x = jax.vmap(one, (0, None))(jax.random.split(KEY, 50), jnp.full(1, start))[:, 0]
        assert np.mean(np.abs(x - np.sign(start)) < 0.35) > 0.95
        assert np.mean(np.abs(x - np.sign(start))) < abs(start - np.sign(start)) / 2


def test_sdedit_draws_from_the_data_given_the_noised_example():
    t, x0 = 0.4, 1.5
    a, v = float(SDE.alpha(t)), float(SDE.variance(t))
    at = sj.sampling.LogSNR().times(SDE, 60, 1e-3, t)
    x = sdedit(KEY, sj.DPMSolverMultistep(churn=1.0), SDE, gaussian(), jnp.full(50_000, x0), at).x
    gain = a * VARIANCE / (a**2 * VARIANCE + v)
    np.testing.assert_allclose(x.mean(), MEAN + gain * a * (x0 - MEAN), atol=0.015)
    np.testing.assert_allclose(x.var(), VARIANCE - gain * a * VARIANCE + gain**2 * v, rtol=0.05)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Interval(1.0, 1.0), "expected low < high"),
        (lambda: Interval(deviations=0.0), "expected more than 0"),
        (lambda: langevin(KEY, SDE, gaussian(), jnp.zeros(2), 0.5, step=2.0), "expected 0 <= step < 2"),
        (lambda: inverted(SDE, gaussian(), jnp.zeros(2), grid(4), solver=sj.Ancestral()), "without noise"),
        (lambda: inverted(SDE, gaussian(), jnp.zeros(2), np.array([0.5, 0.0])), "to start to encode above 0"),
        (lambda: edit(KEY, SDE, gaussian(), jnp.zeros(2), np.array([1.5, 0.1])), "within"),
    ],
)
def test_what_cannot_be_edited_is_refused(make, sentence):
    with pytest.raises(sj.InputError, match=sentence):
        make()
