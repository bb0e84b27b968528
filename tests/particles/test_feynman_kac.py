"""Products of powers and tilts: on Gaussians in closed form, on mixtures by quadrature."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.particles import FeynmanKac, log_normalizer, sample_particles, steady_churn
from sde_jax.sde import Shifted

VE = sj.VE(sigma_min=0.02, sigma_max=30.0)
GRID = sj.grids.uniform(150, end=0.1)
ONE = sj.exact.MixtureDenoiser(VE, np.array([0.4, 0.6]), np.array([[-0.5], [2.0]]), np.array([0.2, 0.4]))
TWO = sj.exact.MixtureDenoiser(VE, np.array([0.5, 0.5]), np.array([[-2.0], [2.5]]), np.array([1.5, 1.0]))
X = np.linspace(-40.0, 40.0, 40_001)


def climbing(x, t):
    return 0.8 * jnp.sum(x) / (1 + VE.variance(t))


@dataclass(frozen=True)
class Weighed:
    """A system, its weights raised to a power: 1, or 0 for particles that are not weighed."""

    system: Any
    power: jax.Array

    def start(self, key, shape, grid):
        particle, log_weight = self.system.start(key, shape, grid)
        return particle, self.power * log_weight

    def move(self, *inputs):
        particle, gain = self.system.move(*inputs)
        return particle, self.power * gain

    def read(self, particle, t):
        return self.system.read(particle, t)


def moments(system, n=3000, seeds=4, power=(1.0, 0.0)):
    """(mean, E x^2, P(x > 0)) over all seeds, and log Z; in rows of the powers of the weights."""

    @jax.jit
    @jax.vmap
    def run(key, power):
        return sample_particles(key, Weighed(system, power), GRID, (1,), n)

    found = run(jax.random.split(jax.random.key(0), seeds * len(power)), np.repeat(power, seeds))
    w, x = jnp.exp(found.log_weights), found.x[..., 0]
    each = np.stack([(w * h).sum(1) for h in (x, x**2, x > 0)], 1).reshape(len(power), seeds, 3).mean(1)
    return *each, found.log_normalizer[:seeds].mean()


def exact(system, t):
    """The same of the target at t, by quadrature."""
    log_density = sum(
        power * jax.vmap(lambda x, model=model: model.log_prob(x[None], t))(X)
        for model, power in zip(system.models, system.powers, strict=True)
    )
    if system.potential is not None:
        log_density += jax.vmap(lambda x: system.potential(x, t))(X)
    most = log_density.max()
    density = np.exp(log_density - most)
    z = np.trapezoid(density, X)
    return np.array([np.trapezoid(density * h, X) / z for h in (X, X**2, X > 0)]), np.log(z) + most


GUIDED = FeynmanKac(VE, (ONE, TWO), (2.0, -1.0))
EXPERTS = FeynmanKac(VE, (ONE, TWO), (1.0, 1.0))
REWARDED = FeynmanKac(VE, (ONE,), (1.0,), climbing)


@pytest.mark.parametrize(
    "system",
    [GUIDED, pytest.param(EXPERTS, marks=pytest.mark.slow), pytest.param(REWARDED, marks=pytest.mark.slow)],
    ids=["guidance", "experts", "reward"],
)
def test_second_moments_are_the_target_s_where_they_are_visibly_wrong_without_weights(system):
    (_, second, above), log_z = exact(system, GRID[-1])
    weighed, unweighed, found_log_z = moments(system)
    np.testing.assert_allclose(weighed[1], second, rtol=0.05)
    np.testing.assert_allclose(weighed[2], above, atol=0.05)
    np.testing.assert_allclose(found_log_z, log_z, atol=0.15)
    assert abs(unweighed[1] / second - 1) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "powers", "tolerance"),
    [((ONE, TWO), (0.5, 0.5), 0.02), ((ONE,), (0.5,), 0.02), ((ONE,), (3.0,), 0.06)],
    ids=["average", "half", "cube"],
)
def test_averages_and_annealing_have_the_target_s_moments(models, powers, tolerance):
    system = FeynmanKac(VE, models, powers)
    (_, second, above), log_z = exact(system, GRID[-1])
    weighed, found_log_z = moments(system, power=(1.0,), seeds=8)
    np.testing.assert_allclose(weighed[1], second, rtol=0.05)
    np.testing.assert_allclose(weighed[2], above, atol=tolerance)
    np.testing.assert_allclose(found_log_z, log_z, atol=1.0 if powers == (3.0,) else 0.05)


MEANS = np.array([[1.0, -0.5], [-0.5, 0.3]])
COVARIANCES = np.array([[[0.8, 0.3], [0.3, 0.5]], [[0.6, -0.1], [-0.1, 1.2]]])


def product_of_gaussians(means, covariances, powers):
    """Mean and covariance of prod_i N(m_i, S_i)^beta_i, and log of its integral."""
    precisions = np.linalg.inv(covariances)
    precision = np.tensordot(powers, precisions, 1)
    linear = np.einsum("i,ijk,ik->j", powers, precisions, means)
    mean = np.linalg.solve(precision, linear)
    constants = -0.5 * np.linalg.slogdet(2 * np.pi * covariances)[1]
    quadratic = np.einsum("i,ij,ijk,ik", powers, means, precisions, means)
    log_z = powers @ constants + 0.5 * (linear @ mean - quadratic - np.linalg.slogdet(precision / (2 * np.pi))[1])
    return mean, np.linalg.inv(precision), log_z


@pytest.mark.parametrize(
    ("powers", "steps"),
    [
        ((0.8, 0.4), 100),
        pytest.param((1.6, -0.4), 100, marks=pytest.mark.slow),
        pytest.param((1.0, 1.0), 400, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_on_gaussians_mean_covariance_and_normaliser_are_those_in_closed_form(powers, steps):
    sde, end = sj.VP(), 1e-3
    models = tuple(sj.exact.GaussianDenoiser(sde, m, c) for m, c in zip(MEANS, COVARIANCES, strict=True))
    grid = sj.grids.LogSNR().times(sde, steps, end)
    alpha, variance = float(sde.alpha(end)), float(sde.variance(end))
    marginals = alpha**2 * COVARIANCES + variance * np.eye(2)
    mean, covariance, log_z = product_of_gaussians(alpha * MEANS, marginals, np.array(powers))
    run = jax.jit(lambda key: sample_particles(key, FeynmanKac(sde, models, powers), grid, (2,), 8000))
    found = run(jax.random.key(1))
    w = jnp.exp(found.log_weights)
    np.testing.assert_allclose(w @ found.x, mean, atol=0.05)
    np.testing.assert_allclose(jnp.cov(found.x.T, aweights=w), covariance, atol=0.05)
    np.testing.assert_allclose(found.log_normalizer, log_z, atol=0.08)
    assert not found.collapsed


@pytest.mark.parametrize("steps", [200, pytest.param(400, marks=pytest.mark.slow)])
def test_the_error_by_the_grid_of_a_cube_s_normaliser_is_told(steps):
    """Of N(0.3, 0.5) to the power 3, log Z = 3 log c + log sqrt(2 pi v / 3) with c = 1 / sqrt(2 pi v), v at the end."""
    system, end = FeynmanKac(VE, (sj.exact.GaussianDenoiser(VE, 0.3, 0.5),), (3.0,)), 0.1
    grid, keys = sj.grids.LogSNR().times(VE, steps, end), jax.random.split(jax.random.key(0), 6)
    found = jax.jit(jax.vmap(lambda key: log_normalizer(key, system, grid, (1,), 1500)))(keys)
    v = 0.5 + float(VE.variance(end))
    off = abs(found.value.mean() - (-np.log(2 * np.pi * v) - 0.5 * np.log(3)))
    assert off < found.by_grid.mean() + 2 * found.by_chance.mean() / np.sqrt(6)
    assert off > 0.05 or steps > 200  # the error is there
    assert found.by_grid.mean() < 10 * max(off, 0.05)
    assert system.normalizer_order == 2


def test_without_noise_x_and_weights_converge_with_order_two():
    """The particles are nodes of a quadrature of the law at the start: nothing is left to chance."""
    system = FeynmanKac(VE, (ONE, TWO), (1.5, -0.5), solver=sj.DPMSolverMultistep(order=2))
    ends = [float(VE.time_of(-jnp.log(sigma))) for sigma in (3.0, 0.3)]
    nodes = np.linspace(-25.0, 25.0, 2001)
    start = sum(
        power * jax.vmap(lambda x, model=model: model.log_prob(x[None], ends[0]))(nodes)
        for model, power in zip(system.models, system.powers, strict=True)
    )

    @jax.jit
    def carried(grid):
        def begin(x):
            return system.start(jax.random.key(0), (1,), grid)[0]._replace(
                x=x[None], seen=system.look(x[None], grid[0])
            )

        def body(particles, times):
            move = jax.vmap(lambda particle: system.move(jax.random.key(0), particle, *times, False))
            return move(particles)

        particles, gains = jax.lax.scan(body, jax.vmap(begin)(nodes), (grid[:-1], grid[1:]))
        log_weights = start + gains.sum(0)
        log_z = jax.nn.logsumexp(log_weights) + np.log(nodes[1] - nodes[0])
        return jnp.exp(log_weights - log_z) @ particles.x[:, 0] ** 2 * (nodes[1] - nodes[0]), log_z

    (_, second, _), log_z = exact(system, ends[1])
    # one program for all: what a coarse grid lacks are steps of no length
    errors = np.abs([np.subtract(carried(np.linspace(*ends, n + 1)), (second, log_z)) for n in (40, 80)])
    assert np.all(np.log2(errors[0] / errors[1]) > 1.7), errors
    assert np.all(errors[1] < 2e-3), errors


@pytest.mark.slow
def test_an_offset_moves_the_particles_and_nothing_else():
    plain, shift = sj.VP(), 3.0
    shifted = Shifted(plain, lambda t: shift * t)
    found = []
    for sde in (plain, shifted):
        model = sj.exact.GaussianDenoiser(sde, 0.5, 0.3)
        system = FeynmanKac(sde, (model,), (2.0,), lambda x, t, sde=sde: jnp.sum((1 - t) * (x - sde.offset(t))))
        found.append(sample_particles(jax.random.key(0), system, sj.grids.uniform(5, 0.2), (1,), 20))
    np.testing.assert_allclose(found[1].x, found[0].x + shift * 0.2, rtol=1e-9)
    np.testing.assert_allclose(found[1].log_weights, found[0].log_weights, rtol=1e-8)
    np.testing.assert_allclose(found[1].log_normalizer, found[0].log_normalizer, rtol=1e-9)


@pytest.mark.slow
def test_a_product_of_sum_one_goes_from_no_signal_to_no_noise():
    sde = sj.RectifiedFlow()
    models = tuple(sj.exact.GaussianDenoiser(sde, m, 0.5) for m in (1.0, 0.0))
    found = sample_particles(
        jax.random.key(0), FeynmanKac(sde, models, (2.0, -1.0)), sj.grids.LogSNR().times(sde, 40, 0.0), (1,), 4000
    )
    w = jnp.exp(found.log_weights)
    np.testing.assert_allclose(w @ found.x, [2.0], atol=0.05)
    np.testing.assert_allclose(w @ (found.x - 2.0) ** 2, [0.5], atol=0.05)
    np.testing.assert_allclose(found.log_normalizer, 2.0, atol=0.1)


@pytest.mark.parametrize("solver", [sj.Ancestral(), sj.DPMSolverMultistep(churn=1.0), sj.EulerMaruyama()], ids=str)
def test_a_model_is_evaluated_once_a_step(solver):
    seen = []

    def model(x, t):
        seen.append(t)
        return ONE(x, t)

    system = FeynmanKac(VE, (model,), (1.0,), climbing, solver=solver)
    particle, _ = jax.eval_shape(lambda: system.start(jax.random.key(0), (1,), GRID))
    seen.clear()
    jax.eval_shape(lambda p: system.move(jax.random.key(0), p, 0.5, 0.4, jnp.array(False)), particle)
    assert len(seen) == 1


@pytest.mark.parametrize("total", [1.5, 2.0, 3.0, 40.0])
def test_the_steady_churn_is_where_the_second_moment_of_weights_stays_finite(total):
    """Riccati's equation of E w^2 has a fixed point at and above it, and none a little below."""

    def reached(churn):
        p, step = 0.0, 1e-3
        for _ in range(40_000):
            p += 2 * step * (2 * total * (total - 1) + (1 - (1 + churn**2) * total) * p + churn**2 * p**2)
            if p > 1e6:
                return np.inf
        return p

    assert np.isfinite(reached(1.001 * steady_churn(total)))
    assert not np.isfinite(reached(0.97 * steady_churn(total)))


def test_churn_is_the_solver_s():
    solvers = [sj.DDIM(eta=0.7), sj.Ancestral(), sj.EulerMaruyama(churn=0.6), sj.DDIM(), sj.sampling.Heun()]
    assert [replace(REWARDED, solver=solver).churn for solver in solvers] == [0.7, 1.0, 0.6, 0.0, 0.0]


def test_flows_that_cannot_reach_the_target_warn():
    with pytest.warns(UserWarning, match="churn 0 and powers of sum 2 > 1"):
        replace(EXPERTS, solver=sj.DDIM())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"powers": (1.0,)}, "2 models and 1 powers"),
        ({"models": (), "powers": ()}, "0 models"),
        ({"powers": (1.0, -1.0)}, "expected numbers of a positive sum"),
        ({"powers": (1.0, float("nan"))}, "expected numbers of a positive sum"),
        ({"solver": sj.ProbabilityFlow()}, "expected a solver with a fixed grid"),
        ({"solver": sj.PredictorCorrector()}, "expected a solver of the reverse process with one churn"),
        ({"paths": (VE, sj.VE())}, "expected one path for all"),
        ({"paths": (VE, sj.VP())}, "expected one path for all"),
        ({"sde": 3}, "expected a path"),
    ],
)
def test_what_makes_no_product_is_told(changed, words):
    with pytest.raises(sj.InputError, match=words):
        replace(GUIDED, **changed)


def test_powers_that_do_not_sum_to_one_are_not_started_where_there_is_no_signal():
    sde = sj.RectifiedFlow()
    system = FeynmanKac(sde, (sj.exact.GaussianDenoiser(sde, 0.0, 1.0),), (2.0,))
    with pytest.raises(sj.InputError, match="from t = 1, where alpha is 0"):
        jax.jit(lambda: sample_particles(jax.random.key(0), system, sj.grids.uniform(5), (1,), 4))()


def test_a_model_that_changes_the_shape_is_told():
    system = FeynmanKac(VE, (lambda x, t: x[None],), (1.0,))
    with pytest.raises(sj.InputError, match="expected the same shape and type"):
        sample_particles(jax.random.key(0), system, GRID, (2,), 4)
