"""The loop of weighted particles, on a chain whose weighted law is known."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.particles import sample_particles

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
    ids=str,
)
def test_what_cannot_be_used_is_told(asked, words):
    given = {"grid": GRID, "shape": (), "n": 4} | asked
    with pytest.raises(sj.InputError, match=words):
        sample_particles(jax.random.key(0), Tilted(1.0), **given)
