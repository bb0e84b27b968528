import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling.imputation import Imputed, inpainting
from sde_jax.sampling.repaint import RePaint

SDE = sj.VP()
MEAN, COVARIANCE = np.array([0.3, -0.5]), np.array([[0.5, 0.3], [0.3, 0.4]])
KNOWN = inpainting(np.array([1.2, np.nan]), np.array([True, False]))
DENOISE = sj.exact.GaussianDenoiser(SDE, MEAN, COVARIANCE)
GRID = sj.sampling.LogSNR().times(SDE, 12, 0.02)


def draws(solver, n=4, frames=0):
    draw = jax.jit(lambda keys: sj.sample(keys, solver, SDE, DENOISE, GRID, (2,), frames))
    return draw(jax.random.split(jax.random.key(0), n))


def test_one_round_is_imputation():
    once, plain = draws(RePaint(sj.Ancestral(), KNOWN, rounds=1), frames=3), draws(Imputed(sj.Ancestral(), KNOWN), 4, 3)
    np.testing.assert_allclose(once.x, plain.x, rtol=1e-12)
    np.testing.assert_allclose(once.trajectory, plain.trajectory, rtol=1e-12)


def test_the_route_goes_back_from_times_that_are_a_jump_apart():
    by_one = RePaint(sj.DDIM(), KNOWN, rounds=2).route(3)
    np.testing.assert_array_equal(by_one, [[0, 1], [1, 0], [0, 1], [1, 2], [2, 1], [1, 2], [2, 3]])
    by_two = RePaint(sj.DDIM(), KNOWN, rounds=2, jump=2).route(5)
    visited = [0, 1, 2, 0, 1, 2, 3, 4, 2, 3, 4, 5]
    np.testing.assert_array_equal(by_two, list(itertools.pairwise(visited)))


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "jump"), [(sj.Ancestral(), 1), (sj.DPMSolverMultistep(order=2), 3)])
def test_rounds_bring_known_and_unknown_together(solver, jump):
    # the mean of the unknown part given the known one
    target = MEAN[1] + COVARIANCE[0, 1] / COVARIANCE[0, 0] * (1.2 - MEAN[0])
    once, often = (draws(RePaint(solver, KNOWN, rounds=rounds, jump=jump), 2000) for rounds in (1, 20))
    calls = 12 + 19 * jump * (11 // jump)
    assert calls <= often.evaluations[0] <= 1.4 * calls
    np.testing.assert_array_equal(often.x[:, 0], 1.2)
    first, then = (abs(float(samples.x[:, 1].mean()) - target) for samples in (once, often))
    assert first > 0.2
    assert then < 0.7 * first


def test_rounds_and_jumps_that_cannot_be_made_are_refused():
    with pytest.raises(sj.InputError, match="expected whole numbers, 1 or more"):
        RePaint(sj.DDIM(), KNOWN, rounds=0)
    with pytest.raises(sj.InputError, match="on a grid of 12 steps: expected more steps"):
        draws(RePaint(sj.DDIM(), KNOWN, jump=12))


def test_a_step_back_is_the_forward_process_own():
    """With a solver that does nothing, x far from 0 comes out scaled by the one way back that is made."""
    sde, grid, size = sj.VP(), np.array([0.9, 0.5, 0.1]), 1e6
    nothing = inpainting(np.full(2, np.nan), np.zeros(2, bool))
    solver = RePaint(sj.sampling.Identity(), nothing, rounds=2)
    found = sj.transport(jax.random.key(0), solver, sde, lambda x, t: 0.0 * x, jnp.full(2, size), grid).x
    np.testing.assert_allclose(found / size, sde.alpha(0.9) / sde.alpha(0.5), rtol=1e-3)
