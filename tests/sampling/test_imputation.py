from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import NoCorrection
from sde_jax.sampling.imputation import COLOURS, Imputed, Known, colourisation, inpainting
from sde_jax.sampling.official import OfficialImputed
from sde_jax.sampling.solver import Step
from sde_jax.testing.moments import moments

MEAN, COVARIANCE = np.array([0.3, -0.5]), np.array([[0.5, 0.3], [0.3, 0.4]])
MASK, Y = np.array([True, False]), np.array([1.2, np.nan])
PC = sj.PredictorCorrector(sj.ReverseDiffusion(), sj.Langevin(snr=0.2, steps=2))
KEYS = jax.random.split(jax.random.key(0), 5)


GRID = np.array([1.0, 0.6, 0.3])


def draws(solver, sde=None, frames=0):
    sde = sj.VP() if sde is None else sde
    return jax.jit(lambda keys: sj.sample(keys, solver, sde, denoiser(sde), GRID, (2,), frames))(KEYS)


def denoiser(sde):
    return sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)


@pytest.mark.parametrize("solver", [sj.DDIM(), sj.PredictorCorrector(corrector_first=False)], ids=["ddim", "pc"])
@pytest.mark.parametrize("sde", [sj.VP(), sj.VE(sigma_max=5.0), sj.MeanReverting(0.7)], ids=["vp", "ve", "mr"])
def test_the_known_part_has_its_own_marginal_at_the_time_reached(sde, solver):
    grid = np.array([1.0, 0.7, 0.4])
    mean, covariance = moments(Imputed(solver, inpainting(Y, MASK)), sde, MEAN, COVARIANCE, [grid])[0]
    np.testing.assert_allclose(mean[0], sde.alpha(0.4) * Y[0], rtol=1e-9)
    np.testing.assert_allclose(covariance[0], [sde.variance(0.4), 0.0], atol=1e-9)


@pytest.mark.slow
def test_correctors_draw_the_unknown_part_given_the_known_one():
    sde, t = sj.VP(), 0.3
    corrector = sj.Langevin(snr=0.2, steps=60)
    solver = Imputed(sj.PredictorCorrector(sj.DDIM(), corrector, corrector_first=False), inpainting(Y, MASK))
    mean, covariance = moments(solver, sde, MEAN, COVARIANCE, [np.array([0.32, 0.31, t])])[0]
    a, v = float(sde.alpha(t)), float(sde.variance(t))
    whole = a**2 * COVARIANCE + v * np.eye(2)
    gain = whole[1, 0] / whole[0, 0]
    np.testing.assert_allclose(mean[1], a * MEAN[1] + gain * a * (Y[0] - MEAN[0]), rtol=0.02)
    # given x_known, which is itself drawn with variance v; Langevin's step adds a few per cent
    np.testing.assert_allclose(covariance[1, 1], whole[1, 1] - gain * whole[0, 1] + gain**2 * v, rtol=0.06)


def test_the_last_step_ends_with_the_moves_mean_and_the_known_value_itself():
    clean, noisy = (draws(Imputed(PC, inpainting(Y, MASK), noise_free=free), frames=3) for free in (True, False))
    np.testing.assert_array_equal(clean.x[:, 0], Y[0])
    np.testing.assert_array_equal(clean.trajectory[:, 1], noisy.trajectory[:, 1])
    _, std = sj.VP().transition(0.3, 0.6)
    left_out = np.abs(noisy.x - clean.x)[:, 1] / std
    assert np.all((left_out > 1e-3) & (left_out < 4))


def test_where_nothing_is_known_it_is_the_solver_itself_and_where_all_is_the_value():
    none, every = (Imputed(sj.DDIM(), inpainting(jnp.full(2, 0.7), np.full(2, known))) for known in (False, True))
    np.testing.assert_allclose(draws(none).x, draws(sj.DDIM()).x, rtol=1e-12)
    np.testing.assert_array_equal(draws(every).x, 0.7)


def test_nan_where_nothing_is_known_does_not_leak():
    sde = sj.VP()

    @jax.jit
    def gradient(y):
        def total(y):
            return sj.sample(KEYS, Imputed(sj.Ancestral(), inpainting(y, MASK)), sde, denoiser(sde), GRID, (2,)).x.sum()

        return jax.value_and_grad(total)(y)

    value, slope = gradient(jnp.asarray(Y))
    assert np.isfinite(value)
    assert np.all(np.isfinite(slope))
    assert slope[1] == 0
    np.testing.assert_array_equal(value, gradient(jnp.array([Y[0], 3.0]))[0])


def test_another_image_and_mask_compile_nothing_anew():
    sde, traces = sj.VP(), []

    @jax.jit
    def draw(image, mask):
        traces.append(1)
        known = inpainting(image, mask)
        return sj.sample(KEYS, Imputed(sj.DDIM(), known), sde, denoiser(sde), np.array([1.0, 0.5]), (2,)).x

    np.testing.assert_array_equal(draw(Y, MASK)[:, 0], Y[0])
    np.testing.assert_array_equal(draw(Y[::-1], ~MASK)[:, 1], Y[0])
    assert len(traces) == 1
    with pytest.raises(ValueError, match="a known number is NaN"):
        jax.block_until_ready(draw(Y, np.ones(2, bool)))


@pytest.mark.parametrize("wrong", [0.5, 128.0, -1.0, np.nan])
def test_a_traced_mask_of_other_numbers_than_0_and_1_raises_when_it_is_computed_with(wrong):
    sde, grid = sj.VP(), np.array([1.0, 0.5])

    @jax.jit
    def draw(mask):
        return sj.sample(KEYS, Imputed(sj.DDIM(), inpainting(Y, mask)), sde, denoiser(sde), grid, (2,)).x

    np.testing.assert_array_equal(draw(np.array([1.0, 0.0]))[:, 0], Y[0])
    with pytest.raises(ValueError, match="a mask holds other numbers than 0 and 1"):
        jax.block_until_ready(draw(np.array([1.0, wrong])))


def test_colourisation_keeps_the_grey_of_every_pixel_and_colours_the_rest():
    sde, grid = sj.VP(), np.array([1.0, 0.5, 0.0])
    np.testing.assert_allclose(COLOURS.T @ COLOURS, np.eye(3), atol=1e-15)
    grey = jax.random.uniform(jax.random.key(3), (2, 2, 1)) * jnp.ones(3)
    denoise = sj.exact.GaussianDenoiser(sde, np.zeros(12), 0.25)
    solver = Imputed(sj.Ancestral(), colourisation(grey))
    x = jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, grid, (2, 2, 3)).x)(KEYS)
    np.testing.assert_allclose(x.sum(-1), np.broadcast_to(3 * grey[..., 0], (5, 2, 2)), rtol=1e-10)
    assert np.all(np.std(x, axis=-1) > 1e-3)


def test_the_official_last_step_removes_no_noise_from_the_unknown_part():
    parts = [OfficialImputed(PC, inpainting(Y, MASK), noise_free=free) for free in (True, False)]
    clean, noisy = (draws(part).x for part in parts)
    np.testing.assert_array_equal(clean[:, 1], noisy[:, 1])
    # and its known part is that of the time before the step
    np.testing.assert_allclose(clean[:, 0], sj.VP().alpha(GRID[-2]) * Y[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: inpainting(np.zeros((4, 4)), np.ones((4, 3))),
            r"mask of shape \(4, 3\) for a value of shape \(4, 4\)",
        ),
        (lambda: inpainting(np.zeros(4), np.full(4, 0.5)), "other numbers than 0 and 1"),
        (lambda: inpainting(np.full(4, np.nan), np.ones(4)), "a known number is NaN"),
        (lambda: Known(np.zeros(2), np.ones(2), 2 * np.eye(2)), "not orthonormal"),
        (lambda: Known(np.zeros(2), np.ones(2), np.eye(3)), r"basis of shape \(3, 3\)"),
        (lambda: colourisation(np.zeros((4, 4))), r"expected \[h, w, 3\]"),
        (lambda: Imputed(sj.ProbabilityFlow(), inpainting(Y, MASK)), "expected a solver with a fixed grid"),
        (lambda: Imputed(sj.DDIM(), MASK), "expected what is known"),
    ],
)
def test_what_cannot_be_imputed_is_refused(make, sentence):
    with pytest.raises(sj.InputError, match=sentence):
        make()


def test_a_value_of_another_shape_and_a_basis_across_schedules_are_refused():
    grid = np.array([1.0, 0.5])
    with pytest.raises(sj.InputError, match=r"value of shape \(3,\) for x of shape \(2,\)"):
        sj.sample(KEYS, Imputed(sj.DDIM(), inpainting(np.zeros(3), np.ones(3))), sj.VP(), denoiser(sj.VP()), grid, (2,))
    diagonal = sj.Schedule(lambda t: -t * jnp.array([1.0, 2.0]), lambda t: t * jnp.ones(2))
    known = Known(np.zeros(2), np.ones(2), np.eye(2))
    with pytest.raises(sj.InputError, match="a schedule for each number"):
        sj.sample(KEYS, Imputed(sj.DDIM(), known), diagonal, denoiser(diagonal), grid, (2,))


def test_what_is_known_costs_no_evaluation():
    pair = Imputed(sj.PredictorCorrector(sj.Ancestral(), NoCorrection()), inpainting(Y, MASK))
    np.testing.assert_array_equal(draws(pair).evaluations, 2)
    np.testing.assert_array_equal(draws(Imputed(PC, inpainting(Y, MASK))).evaluations, 6)


@dataclass(frozen=True)
class Renewed:
    """A corrector of the user's that draws all of x anew, by its own key."""

    def correct(self, key, x, time, interval, *, sde, denoise):
        y = sde.sigma(time) * sde.noise(key, x.shape, x.dtype)
        return Step(y, y)


@pytest.mark.parametrize("part", ["predictor", "corrector"])
def test_in_a_basis_noise_of_the_known_coordinate_knows_nothing_of_that_of_the_others(part):
    """In pixels known and unknown noise never meet; in a basis every pixel's noise is in every coordinate."""
    sde, n, s = sj.VP(), 4000, 0.5
    known = colourisation(jnp.zeros((1, 1, 3)))
    solver = sj.sampling.MultistepConsistency(noise_free=False)
    if part == "corrector":
        solver = sj.PredictorCorrector(sj.sampling.Identity(), Renewed(), corrector_first=False)
    imputed = Imputed(solver, known)
    start = jnp.zeros((1, 1, 3))
    step = lambda key: imputed.step(key, start, 0.6, s, (), sde=sde, denoise=lambda x, t: 0 * x)[0].x  # noqa: E731
    x = jax.jit(jax.vmap(step))(jax.random.split(jax.random.key(0), n))
    coordinates = np.asarray(known.coordinates(x)).reshape(n, 3)
    np.testing.assert_allclose(np.var(coordinates[:, 0]), sde.variance(s), rtol=4.5 * np.sqrt(2 / n))
    assert np.abs(np.corrcoef(coordinates.T) - np.eye(3)).max() < 4.5 / np.sqrt(n)
