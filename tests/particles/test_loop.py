"""The loop of weighted particles, on a chain whose weighted law is known."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.particles import log_normalizer, sample_particles

GRID = np.linspace(1.0, 0.0, 13)


@dataclass(frozen=True)
class Tilted:
    """x' = 0.8 x + 0.6 z, stationary with variance 1, weighed by exp(gain x') after every step."""

    gain: jax.Array | float

    def start(self, key, shape, grid):
        return jax.random.normal(key, shape), jnp.zeros(())

    def move(self, key, particle, t, s, last):
        particle = 0.8 * particle + 0.6 * jax.random.normal(key, particle.shape)
        return particle, self.gain * jnp.sum(particle)

    def read(self, particle, t):
        return particle


@jax.jit
def tilted(key, gain):
    return sample_particles(key, Tilted(gain), GRID, (), 3000)


def test_the_normaliser_and_the_weighted_mean_are_those_of_the_tilted_chain():
    """log E exp(a S) = a^2 var(S) / 2 and the mean of x is a cov(x, S), S the sum over the steps."""
    lags = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    covariance = 0.8**lags
    found = jax.vmap(tilted, (0, None))(jax.random.split(jax.random.key(0), 8), 0.5)
    np.testing.assert_allclose(found.log_normalizer.mean(), 0.125 * covariance.sum(), atol=0.05)
    means = jnp.sum(jnp.exp(found.log_weights) * found.x, 1)
    np.testing.assert_allclose(means.mean(), 0.5 * covariance[-1].sum(), atol=0.06)
    assert np.all(found.resampled.sum(1) >= 2)
    assert not np.any(found.resampled[:, -1])
    assert not np.any(found.collapsed)


@pytest.mark.parametrize(
    ("n", "gain"),
    [(1000, 0.15), pytest.param(2000, 0.3, marks=pytest.mark.slow), pytest.param(300, 0.15, marks=pytest.mark.slow)],
)
def test_the_error_of_the_normaliser_is_how_far_it_spreads_over_keys(n, gain):
    """Which the effective sample size understates by a half and more: noise of all steps before is in it too."""
    run = jax.jit(jax.vmap(lambda key: sample_particles(key, Tilted(gain), GRID, (), n)))
    found = run(jax.random.split(jax.random.key(8), 300))
    lags = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    away, error = found.log_normalizer - 0.5 * gain**2 * (0.8**lags).sum(), found.log_normalizer_error
    known = np.isfinite(error)
    assert np.mean(known) > 0.97
    assert 0.85 < np.sqrt(np.mean(error[known] ** 2)) / np.std(away[known]) < 1.2
    assert 0.83 < np.mean(np.abs(away) < 1.645 * error) < 0.96
    assert np.sqrt(np.mean(1 / found.ess.min(1) - 1 / n)) < 0.7 * np.std(away)


def test_without_resampling_the_error_is_that_of_a_mean_of_weights():
    found = sample_particles(jax.random.key(9), Tilted(0.1), GRID, (), 400, threshold=1e-6)
    weights = 400 * np.exp(found.log_weights)
    np.testing.assert_allclose(found.log_normalizer_error, np.std(weights, ddof=1) / np.sqrt(400), rtol=1e-9)


def test_an_error_that_too_few_first_particles_would_tell_is_infinite():
    assert np.isinf(tilted(jax.random.key(10), 3.0).log_normalizer_error)


def test_particles_are_resampled_where_and_when_they_are_asked_to_be():
    def steps(threshold, window=(0.0, 1.0)):
        found = sample_particles(jax.random.key(0), Tilted(0.5), GRID, (), 500, threshold, window)
        return np.flatnonzero(found.resampled), found.ess

    assert list(steps(1.0, (0.3, 0.6))[0]) == [4, 5, 6, 7]
    rarely, ess = steps(0.3)
    np.testing.assert_array_equal(rarely, np.flatnonzero(ess[:-1] < 150))
    assert len(rarely) in range(1, 5)


def test_without_resampling_a_particle_depends_on_its_number_and_not_on_how_many_there_are():
    few, many = (sample_particles(jax.random.key(3), Tilted(0.1), GRID, (2,), n, 1e-6) for n in (5, 9))
    np.testing.assert_array_equal(few.x, many.x[:5])


def test_a_batch_of_systems_is_each_of_them():
    keys = jax.random.split(jax.random.key(4), 3)
    np.testing.assert_array_equal(jax.vmap(tilted, (0, None))(keys, 0.5).x[1], tilted(keys[1], 0.5).x)


def test_weights_that_fall_to_one_particle_are_flagged():
    found = tilted(jax.random.key(5), 400.0)
    assert found.collapsed
    assert found.ess.min() < 1.5


def test_one_step_cannot_be_compared_with_half_of_it():
    with pytest.raises(sj.InputError, match="a grid of 1 step"):
        log_normalizer(jax.random.key(0), Tilted(0.1), GRID[:2], (), 10)


def test_unweighted_samples_have_the_weighted_mean():
    found = tilted(jax.random.key(6), 0.5)
    even = found.unweighted(jax.random.key(7))
    assert even.shape == found.x.shape
    np.testing.assert_allclose(even.mean(), jnp.sum(jnp.exp(found.log_weights) * found.x), atol=0.02)


def test_weights_that_are_lost_raise():
    with pytest.raises(RuntimeError, match="log-weights hold NaN"):
        sample_particles(jax.random.key(8), Tilted(jnp.nan), GRID, (), 4)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"n": 1}, "n = 1 particles: expected a whole number, 2 or more"),
        ({"n": 2.5}, "n = 2.5 particles"),
        ({"threshold": 0.0}, "threshold = 0.0: expected"),
        ({"threshold": 1.5}, "threshold = 1.5: expected"),
        ({"window": (0.5, 0.5)}, "0 <= first < second <= 1"),
        ({"grid": [0.1, 0.9]}, "expected times that fall strictly"),
        ({"shape": 3}, "shape = 3"),
    ],
)
def test_what_cannot_be_used_is_told(asked, words):
    given = {"grid": GRID, "shape": (), "n": 4} | asked
    with pytest.raises(sj.InputError, match=words):
        sample_particles(jax.random.key(0), Tilted(1.0), **given)


@dataclass(frozen=True)
class Discretised:
    """A system whose log Z is 0 but for an error of steps h: the sum of h^(p + 1), h^p on a uniform grid of [0, 1]."""

    normalizer_order: float

    def start(self, key, shape, grid):
        return jnp.zeros(shape), jnp.zeros(())

    def move(self, key, particle, t, s, last):
        return particle, (t - s) ** (self.normalizer_order + 1)

    def read(self, particle, t):
        return particle


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_the_error_by_the_grid_is_that_of_all_the_grid_where_it_falls_by_its_order(order):
    found = log_normalizer(jax.random.key(0), Discretised(order), np.linspace(1.0, 0.0, 17), (1,), 4)
    np.testing.assert_allclose(found.value, (1 / 16) ** order, rtol=1e-4)
    np.testing.assert_allclose(found.by_grid, found.value, rtol=1e-4)
