import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.objective import finite_difference_score_matching, sliced_score_matching

T = 0.4
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=2)))
"""All sign probes: a mean over them is the expectation, where the loss is quadratic in the probe."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


def marginal(sde):
    """The mean and covariance of x_T for Gaussian data."""
    alpha, variance = float(sde.alpha(T)), float(sde.variance(T))
    return alpha * MEAN, alpha**2 * COVARIANCE + variance * np.eye(2)


def points(sde):
    """Nodes [49, 2] and weights of a quadrature of N(mean, covariance) at T, exact to degree 13."""
    mean, covariance = marginal(sde)
    z = np.array(list(itertools.product(NODES, repeat=2)))
    weights = np.prod(list(itertools.product(WEIGHTS / WEIGHTS.sum(), repeat=2)), axis=1)
    return mean + z @ np.linalg.cholesky(covariance).T, weights


def bent(x, t):
    """A score that is not linear."""
    return jnp.sin(x) - 0.3 * x[::-1] ** 2


LOSSES = {
    "reduced": lambda score, x: sliced_score_matching(score, x, T, SIGNS),
    "not reduced": lambda score, x: sliced_score_matching(score, x, T, SIGNS, reduced=False),
    "by differences": lambda score, x: finite_difference_score_matching(score, x, T, SIGNS, 1e-4),
}


def mean_loss(loss, score, x, weights):
    return jnp.dot(weights, jax.vmap(lambda x: loss(score, x))(jnp.asarray(x)))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("sde", [sj.VP(), sj.VE()], ids=str)
def test_of_linear_scores_the_minimiser_on_gaussian_data_is_their_score(sde, loss):
    (mean, covariance), nodes = marginal(sde), points(sde)

    @jax.jit
    def newton(theta):  # the mean loss is quadratic in theta
        value = lambda theta: mean_loss(loss, lambda x, t: theta[:, :2] @ x + theta[:, 2], *nodes)  # noqa: E731
        slope, bend = jax.grad(value)(theta), jax.hessian(value)(theta).reshape(6, 6)
        return slope, theta - jnp.linalg.solve(bend, slope.ravel()).reshape(2, 3), jnp.linalg.eigvalsh(bend)

    best = np.c_[-np.linalg.inv(covariance), np.linalg.solve(covariance, mean)]
    _, reached, bends = newton(jnp.full((2, 3), 0.3))
    np.testing.assert_allclose(reached, best, rtol=1e-6)
    assert np.all(bends > 0)
    np.testing.assert_allclose(newton(jnp.asarray(best))[0], 0.0, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses_differ_by_half_the_squared_error_of_the_score(loss):
    sde = sj.VP()
    mean, covariance = marginal(sde)

    def exact(x, t):
        return -jnp.linalg.solve(covariance, x - mean)

    def offset_and_scaled(x, t):
        return 0.7 * exact(x, t) + jnp.array([0.2, -0.1])

    def error(x):
        return 0.5 * jnp.sum((offset_and_scaled(x, T) - exact(x, T)) ** 2)

    x, weights = points(sde)
    expected = weights @ np.asarray(jax.vmap(error)(jnp.asarray(x)))
    excess = mean_loss(loss, offset_and_scaled, x, weights) - mean_loss(loss, exact, x, weights)
    np.testing.assert_allclose(excess, expected, rtol=1e-6)


def test_for_any_score_slices_with_all_signs_give_its_divergence_and_half_its_square():
    x = jnp.array([0.4, -1.3])
    expected = jnp.trace(jax.jacfwd(bent)(x, T)) + 0.5 * jnp.sum(bent(x, T) ** 2)
    for name in ("reduced", "not reduced"):
        np.testing.assert_allclose(LOSSES[name](bent, x), expected, rtol=1e-12)


def test_probes_are_averaged_and_may_have_any_shape():
    score = lambda x, t: bent(x.ravel(), t).reshape(x.shape)  # noqa: E731
    x, probes = jnp.array([[0.4], [-1.3]]), jax.random.normal(jax.random.key(0), (5, 2, 1))
    one_by_one = [sliced_score_matching(score, x, T, probes[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(sliced_score_matching(score, x, T, probes), np.mean(one_by_one), rtol=1e-12)
    (e, *_), s = probes, score(x, T)
    slope = jax.jvp(lambda x: score(x, T), (x,), (e,))[1]
    np.testing.assert_allclose(one_by_one[0], jnp.vdot(e, slope) + jnp.vdot(s, s) / 2, rtol=1e-12)


def test_differences_approach_the_derivative_as_the_square_of_their_step():
    x, steps = jnp.array([0.4, -1.3]), np.array([0.08, 0.04, 0.02, 0.01])
    exact = sliced_score_matching(bent, x, T, SIGNS)
    by_step = jax.vmap(lambda step: finite_difference_score_matching(bent, x, T, SIGNS, step))(jnp.asarray(steps))
    errors = np.abs(np.asarray(by_step - exact))
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), 2.0, atol=0.02)


@pytest.mark.parametrize("shape", [(2,), (3, 2, 1), (4, 3), (0, 2)], ids=str)
@pytest.mark.parametrize("loss", ["reduced", "by differences"])
def test_probes_that_are_not_of_the_shape_of_x_are_refused(loss, shape, monkeypatch):
    monkeypatch.setitem(globals(), "SIGNS", np.ones(shape))
    with pytest.raises(sj.InputError, match=r"expected \[m, ...\] for an x of shape \(2,\)"):
        LOSSES[loss](bent, jnp.zeros(2))


@pytest.mark.parametrize("step", [0.0, -0.1, float("nan")])
def test_a_step_that_leads_nowhere_is_refused(step):
    with pytest.raises(sj.InputError, match="expected step > 0"):
        finite_difference_score_matching(bent, jnp.zeros(2), T, SIGNS, step)
