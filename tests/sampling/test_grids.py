"""Grids of times."""

import jax
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import grids


def name(value):
    return type(value).__name__


@pytest.mark.parametrize("sde", [sj.VP(), sj.VE(), sj.RectifiedFlow()], ids=name)
@pytest.mark.parametrize("spacing", [grids.Uniform(), grids.Quadratic(), grids.LogSNR(), grids.Karras()], ids=name)
def test_every_grid_falls_from_the_start_to_the_end_on_every_path(sde, spacing):
    for end in (1e-3, 0.0):
        times = spacing.times(sde, 12, end)
        assert (len(times), times[0], times[-1]) == (13, 1.0, end)
        assert np.all(np.diff(times) < 0)
    np.testing.assert_allclose(spacing.times(sde, 5, 0.2, 0.8)[[0, -1]], [0.8, 0.2])


def test_grids_are_even_in_what_they_are_even_in():
    sde = sj.VE()
    rho = jax.vmap(lambda t: sde.sigma(t) / sde.alpha(t))
    for spacing, even in (
        (grids.Quadratic(), lambda t: np.sqrt(t)),
        (grids.LogSNR(), lambda t: np.log(rho(t))),
        (grids.Karras(), lambda t: rho(t) ** (1 / 7)),
        (grids.Karras(power=1.0), rho),
    ):
        np.testing.assert_allclose(np.diff(even(spacing.times(sde, 9, 0.1)), 2), 0, atol=1e-9)


def test_a_grid_with_too_few_steps_for_its_ends_is_refused():
    with pytest.raises(sj.InputError, match="in 2 steps: expected 3 or more"):
        grids.Karras().times(sj.RectifiedFlow(), 2, 0.0)
