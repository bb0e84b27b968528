"""Conjugate gradients on systems whose every iterate is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.guidance.conjugate_gradients import solve

SAME = lambda r: r  # noqa: E731


def solved(v, b, iterations, tolerance=1e-6, precondition=SAME):
    v = jnp.asarray(v, float)
    return jax.jit(lambda b: solve(lambda u: (v @ u[0],), (b,), iterations, tolerance, precondition))(
        jnp.asarray(b, float)
    )


def test_n_iterations_solve_a_system_of_n_and_the_residual_is_told():
    a = np.random.default_rng(0).normal(size=(5, 5))
    v, b = a @ a.T + np.eye(5), np.arange(5.0) - 1.5
    found = solved(v, b, 5)
    np.testing.assert_allclose(found.value[0], np.linalg.solve(v, b), rtol=1e-9)
    assert found.unsolved < 1e-9
    for iterations in (1, 2, 3):
        found = solved(v, b, iterations)
        left = np.linalg.norm(b - v @ np.asarray(found.value[0])) / np.linalg.norm(b)
        np.testing.assert_allclose(found.unsolved, left, rtol=1e-9)
        # of all u in the Krylov space it is the nearest to the solution in the norm of V
        space = np.stack([np.linalg.matrix_power(v, k) @ b for k in range(iterations)], 1)
        nearest = space @ np.linalg.solve(space.T @ v @ space, space.T @ b)
        np.testing.assert_allclose(found.value[0], nearest, rtol=1e-7)


@pytest.mark.parametrize("tolerance", [0.3, 0.03, 1e-3])
def test_iterations_end_as_soon_as_half_the_tolerance_is_left(tolerance):
    v, b = np.diag(np.geomspace(1, 100, 12)), np.ones(12)
    assert solved(v, b, 12, tolerance).unsolved <= tolerance
    needed = next(n for n in range(1, 13) if solved(v, b, n, 1e-9).unsolved <= 0.5 * tolerance)
    np.testing.assert_allclose(solved(v, b, 12, tolerance).unsolved, solved(v, b, needed, 1e-9).unsolved, rtol=1e-9)


def test_a_result_that_is_worse_than_nothing_is_not_kept():
    """One iteration on [[1, k], [-k, 1]] leaves k times the residual: of no covariance, without negative curvature."""
    for k, left in ((0.5, 0.5), (3.0, 1.0)):
        found = solved([[1.0, k], [-k, 1.0]], [1.0, 0.0], 1)
        np.testing.assert_allclose(found.unsolved, left, rtol=1e-12)
        np.testing.assert_allclose(found.value[0], [1.0, 0.0] if k < 1 else [0.0, 0.0], atol=1e-12)


def test_what_was_found_before_a_direction_of_negative_curvature_is_kept():
    v, b = np.diag([2.0, -0.5]), np.array([1.0, 0.3])
    first, rest = solved(v, b, 1), solved(v, b, 2)
    assert first.unsolved < 1
    np.testing.assert_allclose(rest.value[0], first.value[0], rtol=1e-12)
    np.testing.assert_allclose(rest.unsolved, first.unsolved, rtol=1e-12)
