"""Grids of times."""

import jax
import jax.numpy as jnp
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
        for start in (1.0, 0.6):
            times = spacing.times(sde, 9, 0.1, start)
            assert (times[0], times[-1]) == (start, 0.1)
            np.testing.assert_allclose(np.diff(even(times), 2), 0, atol=1e-9)


def test_a_grid_with_too_few_steps_for_its_ends_is_refused():
    with pytest.raises(sj.InputError, match="in 2 steps: expected 3 or more"):
        grids.Karras().times(sj.RectifiedFlow(), 2, 0.0)


PATHS = {
    "VP": sj.VP(),
    "SubVP": sj.SubVP(),
    "VE": sj.VE(),
    "EDMPath": sj.EDMPath(),
    "Cosine": sj.Cosine(),
    "Cosine(-14)": sj.Cosine(last_log_snr=-14.0),
    "RectifiedFlow": sj.RectifiedFlow(),
    "MeanReverting": sj.MeanReverting(0.7, 0.8),
    "DDPM": sj.sde.DDPM(),
    "SMLD": sj.sde.SMLD(),
    "Schedule": sj.sde.Schedule(lambda t: jnp.log1p(-t), jnp.square),
    "TimeChange": sj.sde.TimeChange(sj.RectifiedFlow(), lambda t: 0.5 * (t + t * t)),
    "Product": sj.sde.Product({"one": (sj.VP(), (1,)), "other": (sj.RectifiedFlow(), (1,))}),
}


def rho_of(sde, times):
    """The geometric mean of sigma / alpha at times, in float64."""
    with jax.enable_x64(True):
        log_snr = jax.vmap(sde.log_snr)(jnp.asarray(times, jnp.float64))
        return np.exp(-np.asarray(log_snr).reshape(len(times), -1).mean(1))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bounds", [{}, {"smallest": 1e-4, "largest": 300.0}], ids=str)
@pytest.mark.parametrize("spacing", [grids.Karras, pytest.param(grids.LogSNR, marks=pytest.mark.slow)], ids=str)
def test_in_float32_bounds_are_where_they_are_named_on_every_path(path, bounds, spacing):
    sde, grid = PATHS[path], spacing(**bounds)
    for end in (0.0, 1e-3):
        with jax.enable_x64(False):
            times = grid.times(sde, 100, end)
            assert np.all(np.diff(times.astype(np.float32)) < 0)
            assert grids.checked(times).dtype == np.float32
        assert (len(times), times[0], times[-1]) == (101, 1.0, end)
        rho, (first, last) = rho_of(sde, times), rho_of(sde, np.array([1.0, end]))
        head, tail = int(np.isinf(first)), int(last == 0)
        inside = rho[head : len(rho) - tail]
        np.testing.assert_allclose(inside[0], grid.largest if head else first, rtol=1e-4)
        np.testing.assert_allclose(inside[-1], grid.smallest if tail else last, rtol=1e-4)
        # next to t = 1 float32 has few numbers: of Cosine(-14) rho is known there to a tenth
        even = np.log(inside) if spacing is grids.LogSNR else inside ** (1 / 7)
        slack = 0.2 if path == "Cosine(-14)" else 2e-3
        np.testing.assert_allclose(even, np.linspace(even[0], even[-1], len(even)), rtol=slack / 7)


@pytest.mark.parametrize(
    ("grid", "sde", "end"),
    [
        (grids.Karras(largest=1e9), sj.RectifiedFlow(), 1e-3),
        (grids.LogSNR(smallest=1e-30), sj.VP(), 0.0),
        (grids.LogSNR(), sj.Cosine(last_log_snr=-17.0), 1e-3),
    ],
)
def test_bounds_that_no_time_of_the_precision_has_are_refused_with_the_cause(grid, sde, end):
    with jax.enable_x64(False), pytest.raises(sj.InputError, match=r"no time in float32 has rho = .*expected bounds"):
        grid.times(sde, 100, end)


def test_a_grid_that_falls_in_float64_alone_is_refused_with_the_cause():
    with (
        jax.enable_x64(False),
        pytest.raises(sj.InputError, match="which are one number in float32"),
    ):
        grids.checked(np.array([0.5, 0.3, 0.3 - 1e-12, 0.1]))


def test_a_grid_of_a_traced_path_is_refused_and_of_a_known_one_made_inside_jit():
    with pytest.raises(sj.InputError, match="of a traced VP: expected to be made outside"):
        jax.jit(lambda beta: grids.Karras().times(sj.VP(0.1, beta), 10))(20.0)
    inside = jax.jit(lambda x: x + jnp.asarray(grids.Karras().times(sj.VP(), 10)))(0.0)
    np.testing.assert_allclose(inside, grids.Karras().times(sj.VP(), 10), rtol=1e-12)


def test_a_quadratic_grid_from_below_zero_is_refused_as_others_are():
    with pytest.raises(sj.InputError, match=r"from t = 1\.0 to t = -0\.1: expected"):
        grids.Quadratic().times(sj.VP(), 10, -0.1)
