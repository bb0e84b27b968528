"""Levenberg-Marquardt, on problems whose answers are known."""

import jax.numpy as jnp
import numpy as np

from sde_jax.tuning.least_squares import Loss


def test_a_linear_problem_is_solved_as_by_normal_equations():
    rng = np.random.default_rng(0)
    matrices, b = rng.normal(size=(40, 3, 4)), rng.normal(size=(40, 3))
    loss = Loss(lambda q, _, batch: batch[0] @ q - batch[1], ())
    batches = [(jnp.asarray(matrices[i : i + 20]), jnp.asarray(b[i : i + 20])) for i in (0, 20)]
    fit = loss.minimised(np.zeros(4), batches, batches, 20)
    expected = np.linalg.lstsq(matrices.reshape(-1, 4), b.reshape(-1))[0]
    np.testing.assert_allclose(fit.q, expected, atol=1e-4)
    residual = (matrices @ expected - b).reshape(40, -1)
    np.testing.assert_allclose(fit.watched, np.mean(np.sum(residual**2, 1)), rtol=1e-4)


def test_rosenbrocks_valley_is_followed_to_its_end():
    def residuals(q, scale, batch):
        return jnp.broadcast_to(jnp.stack([scale * (q[1] - q[0] ** 2), 1 - q[0]]), (len(batch), 2))

    batches = [jnp.zeros(1)]
    fit = Loss(residuals, 10.0).minimised(np.array([-1.2, 1.0]), batches, batches, 60)
    np.testing.assert_allclose(fit.q, [1, 1], atol=1e-3)


def test_the_point_kept_is_the_best_of_the_draws_that_watch():
    """What is fitted wants q = 4, what watches wants q = 1: no point on the way there but the nearest to 1 is kept."""
    loss = Loss(lambda q, _, batch: q[None, 0] ** 3 - batch, ())
    fit = loss.minimised(np.array([0.9]), [jnp.full(1, 64.0)], [jnp.full(1, 1.0)], 30)
    assert fit.rounds == 0
    np.testing.assert_allclose(fit.watched, (0.9**3 - 1) ** 2, rtol=1e-5)
