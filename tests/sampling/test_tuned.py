"""A sampler of given times and weights."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.codec import decode, encode
from sde_jax.experiment import Sampler
from sde_jax.sampling import Listed, Restart, Tuned

VP = sj.VP()
SOLVER = Tuned((1.0, 0.5, 0.1), (1.0, 0.45), ((0.7,), (-0.2, 0.8)))


def test_a_step_is_the_sum_that_its_docstring_says():
    """By hand, of a denoiser that tells the time it was told."""
    denoise = lambda x, t: 0.3 * x + t  # noqa: E731
    x0 = jnp.asarray([1.5, -0.7])
    t0, t1, t2 = SOLVER.times
    d0 = denoise(x0, 1.0)
    x1 = VP.sigma(t1) / VP.sigma(t0) * x0 + VP.alpha(t1) * 0.7 * d0
    d1 = denoise(x1, 0.45)
    x2 = VP.sigma(t2) / VP.sigma(t1) * x1 + VP.alpha(t2) * (-0.2 * d0 + 0.8 * d1)
    found = sj.transport(jax.random.key(0), SOLVER, VP, denoise, x0, SOLVER.grid, frames=3)
    np.testing.assert_allclose(found.trajectory, [x0, x1, x2], rtol=1e-5)
    assert int(found.evaluations) == 2


def test_it_is_json_and_back():
    sampler = Sampler(SOLVER, 2, 0.1, SOLVER.spacing)
    back, problems = decode(Sampler, json.loads(json.dumps(encode(sampler))))
    assert not problems
    assert back == sampler
    np.testing.assert_array_equal(back.grid(VP), SOLVER.times)


@pytest.mark.parametrize("grid", [[1.0, 0.1], [1.0, 0.6, 0.1], [1.0, 0.5, 0.2, 0.1]])
def test_another_grid_is_refused_by_name(grid):
    with pytest.raises(sj.InputError, match=r"Tuned\(2 steps from t = 1 to 0.1\) down .* expected its own"):
        sj.transport(jax.random.key(0), SOLVER, VP, lambda x, t: x, jnp.ones(2), grid)


def test_a_listed_grid_has_no_other_steps():
    with pytest.raises(sj.InputError, match=r"a listed grid of 2 steps .* asked for 5"):
        Listed(SOLVER.times).times(VP, 5, 0.1)


def test_it_cannot_go_on_from_an_x_that_was_moved():
    solver = Restart(SOLVER, low=0.2, high=0.5, rounds=1, steps=2)
    with pytest.raises(sj.InputError, match="expected"):
        sj.transport(jax.random.key(0), solver, VP, lambda x, t: 0.5 * x, jnp.ones(2), SOLVER.grid)


@pytest.mark.parametrize(
    "parts",
    [
        ((1.0, 0.5), (1.0, 0.5), ((0.7,),)),
        ((1.0, 0.5, 0.1), (1.0, 0.45), ((0.7,), (0.8,))),
        ((1.0, 0.5, 0.6), (1.0, 0.45), ((0.7,), (-0.2, 0.8))),
        ((1.0, 0.5, 0.1), (1.0, 1.45), ((0.7,), (-0.2, 0.8))),
        ((1.0, 0.5, 0.1), (1.0, 0.45), ((0.7,), (float("nan"), 0.8))),
    ],
)
def test_numbers_that_do_not_fit_are_refused(parts):
    with pytest.raises(sj.InputError, match="expected"):
        Tuned(*parts)
