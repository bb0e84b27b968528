"""Tuned samplers: nearer to the flow than every published formula, on draws that no fit has seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.tuning import Effort, tune, tune_given
from sde_jax.tuning.family import Family
from sde_jax.tuning.starts import starts

WEIGHTS, MEANS = np.array([0.35, 0.65]), np.array([[-0.8, 0.3], [0.5, -0.2]])
VARIANCES = np.array([[0.04, 0.02], [0.06, 0.03]])
VP = sj.VP()
SMALL = Effort(fitted=128, watched=64, tested=128, fine_steps=60, batch_size=64, rounds=8)


def mixture() -> sj.exact.MixtureDenoiser:
    """Two Gaussians in two dimensions."""
    return sj.exact.MixtureDenoiser(VP, WEIGHTS, MEANS, VARIANCES)


@pytest.fixture(scope="module")
def tuned():
    return tune(jax.random.key(0), VP, mixture(), (2,), (5,), 1e-3, SMALL)[5]


def test_five_evaluations_come_nearer_than_the_best_published_formula(tuned):
    """By hand, on draws of another key: 0.6 of the error of the best formula on its best grid, or less."""
    keys, denoise = jax.random.split(jax.random.key(77), 200), mixture()

    def drawn(solver, grid):
        return jax.jit(lambda keys: sj.sample(keys, solver, VP, denoise, grid, (2,)).x)(keys)

    fine = drawn(sj.UniPC(3), sj.grids.LogSNR().times(VP, 80, 1e-3))
    best = next(start.solver for start in starts(VP, 5, 1e-3) if start.name == tuned.best)
    errors = [
        float(jnp.sqrt(jnp.mean(jnp.sum(jnp.square(drawn(solver, solver.grid) - fine), 1))))
        for solver in (tuned.solver, best)
    ]
    assert errors[0] <= 0.6 * errors[1]
    assert tuned.ratio <= 0.6
    assert tuned.helps


def test_the_errors_told_are_in_order(tuned):
    assert tuned.reference < 0.3 * tuned.tested
    assert tuned.tested < 3 * tuned.fitted
    np.testing.assert_allclose(tuned.ratio, tuned.tested / tuned.published)
    assert 0 < tuned.standard_error < tuned.ratio


def test_gaussian_data_need_two_evaluations():
    """Their flow is linear, x_end = s x: two weights that are free make it exact, which no formula does."""
    denoise = sj.exact.GaussianDenoiser(VP, np.zeros(3), 0.3)
    found = tune(jax.random.key(1), VP, denoise, (3,), (2,), 1e-3, SMALL)[2]
    assert found.published > 0.05
    assert found.tested < 0.02 * found.published


def test_no_rounds_leave_the_best_published_formula():
    effort = Effort(fitted=64, watched=64, tested=64, fine_steps=60, batch_size=64, rounds=0)
    found = tune(jax.random.key(0), VP, mixture(), (2,), (5,), 1e-3, effort)[5]
    start = next(start.solver for start in starts(VP, 5, 1e-3) if start.name == found.start)
    np.testing.assert_allclose(found.solver.times, start.times, rtol=1e-4)
    for row, other in zip(found.solver.weights, start.weights, strict=True):
        np.testing.assert_allclose(row, other, rtol=1e-3, atol=1e-4)
    assert not found.helps


@pytest.mark.parametrize("sde", [sj.VP(), sj.RectifiedFlow(), sj.EDMPath()], ids=lambda sde: type(sde).__name__)
def test_a_member_and_its_derivative(sde):
    """q = 0 is the start; a moved log-SNR moves a time by its inverse's slope, which bisection alone would hide."""
    start = next(start.solver for start in starts(sde, 5, 1e-2) if "Quadratic" in start.name)
    family = Family.of(sde, start, 5)
    zero = np.zeros(family.size)
    member = family.member(jnp.asarray(zero))
    np.testing.assert_allclose(member.times, start.times, rtol=1e-3)
    for row, other in zip(member.weights, start.weights, strict=True):
        np.testing.assert_allclose(row, other, rtol=5e-3, atol=1e-3)
    moves = jax.jacfwd(lambda q: family.member(q).times)(jnp.asarray(zero))
    step = 1e-2 * np.eye(family.size)[1]
    later, earlier = (np.asarray(family.member(jnp.asarray(zero + by)).times) for by in (step, -step))
    finite = (later - earlier) / 2e-2
    np.testing.assert_allclose(moves[:, 1], finite, rtol=0.05, atol=2e-3)
    assert np.abs(finite).max() > 0.01


def test_what_is_given_reaches_its_draw():
    """Two classes, one denoiser each: tuned over both, and as good on each as on the whole."""
    means = jnp.asarray([[-0.7, 0.2], [0.6, -0.4]])
    of = lambda label: sj.exact.GaussianDenoiser(VP, means[label], 0.05)  # noqa: E731
    labels = np.arange(SMALL.draws) % 2
    found = tune_given(jax.random.key(2), labels, VP, of, (2,), (4,), 1e-3, SMALL)[4]
    assert found.ratio < 0.6
    with pytest.raises(sj.InputError, match=r"one for each draw"):
        tune_given(jax.random.key(2), labels[1:], VP, of, (2,), (4,), 1e-3, SMALL)


@pytest.mark.parametrize(
    ("evaluations", "end", "said"),
    [((1,), 1e-3, "each 2 or more"), ((), 1e-3, "each 2 or more"), ((5,), 0.0, "0 < end < 1")],
)
def test_refusals(evaluations, end, said):
    with pytest.raises(sj.InputError, match=said):
        tune(jax.random.key(0), VP, mixture(), (2,), evaluations, end, SMALL)


def test_an_effort_out_of_range_names_what_is_wrong():
    with pytest.raises(sj.InputError, match=r"fine_steps = 3: expected 20 or more"):
        Effort(fine_steps=3)
