"""Published multistep methods written out as times and weights make the samplers' own steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import Tuned
from sde_jax.tuning.starts import SPACINGS, formulas, starts, tuned, written_out

WEIGHTS, MEANS = np.array([0.35, 0.65]), np.array([[-0.8, 0.3], [0.5, -0.2]])
VARIANCES = np.array([[0.04, 0.02], [0.06, 0.03]])
PATHS = [sj.VP(), sj.RectifiedFlow(), sj.EDMPath()]
X = jax.random.normal(jax.random.key(0), (3, 2))


def denoiser(sde: sj.GaussianPath) -> sj.exact.MixtureDenoiser:
    """Two Gaussians in two dimensions."""
    return sj.exact.MixtureDenoiser(sde, WEIGHTS, MEANS, VARIANCES)


def carried(solver: sj.FixedGridSolver, sde: sj.GaussianPath, grid: np.ndarray) -> np.ndarray:
    denoise = denoiser(sde)
    start = X * sde.sigma(1.0)
    return np.asarray(jax.vmap(lambda x: sj.transport(jax.random.key(0), solver, sde, denoise, x, grid).x)(start))


@pytest.mark.parametrize("sde", PATHS, ids=lambda sde: type(sde).__name__)
@pytest.mark.parametrize("name", ["UniPC-3, final", "iPNDM-4", "DEIS-3", "DPM-Solver++(2M), final"])
def test_a_linear_multistep_method_is_its_weights(sde, name):
    solver = dict(formulas())[name]
    grid = SPACINGS["Quadratic"].times(sde, 6, 1e-2)
    weights = written_out(solver, sde, jnp.asarray(grid))
    np.testing.assert_allclose(
        carried(tuned(grid, grid[:-1], weights), sde, grid), carried(solver, sde, grid), rtol=2e-4, atol=2e-4
    )


def test_the_weights_of_a_consistent_method_carry_a_constant_denoiser_exactly():
    """With D = c the flow is x_s = (sigma_s / sigma_t) x + (alpha_s - alpha_t sigma_s / sigma_t) c."""
    sde = sj.VP()
    for start in starts(sde, 5, 1e-3):
        solver = start.solver
        lam = np.asarray(jax.vmap(sde.log_snr)(jnp.asarray(solver.times)))
        np.testing.assert_allclose([sum(row) for row in solver.weights], -np.expm1(-np.diff(lam)), rtol=2e-3, atol=2e-4)


def test_methods_of_more_values_than_steps_are_left_out():
    names = [start.name for start in starts(sj.VP(), 2, 1e-3)]
    assert any("2M" in name for name in names)
    assert not any("3M" in name for name in names)
    assert all(isinstance(start.solver, Tuned) for start in starts(sj.VP(), 2, 1e-3))
