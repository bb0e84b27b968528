"""Systematic resampling and the effective sample size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.particles import effective_sample_size, normalized, systematic

LOG_WEIGHTS = np.log(
    np.array([0.02, 0.4, 0.0, 0.13, 0.3, 0.15, 0.0]), where=[1, 1, 0, 1, 1, 1, 0], out=np.full(7, -np.inf)
)


def counts(key, log_weights):
    return jnp.bincount(systematic(key, log_weights), length=len(log_weights))


def test_a_particle_is_drawn_n_times_its_weight_on_average_and_never_a_whole_time_off():
    drawn = jax.vmap(counts, (0, None))(jax.random.split(jax.random.key(0), 20_000), LOG_WEIGHTS + 700.0)
    expected = 7 * np.exp(LOG_WEIGHTS)
    assert np.all(np.abs(drawn - expected) < 1)
    np.testing.assert_allclose(drawn.mean(0), expected, atol=5 * 0.5 / np.sqrt(20_000))


def test_equal_weights_keep_every_particle():
    np.testing.assert_array_equal(systematic(jax.random.key(1), np.full(1000, -3e4)), np.arange(1000))


def test_the_indices_are_sorted_and_a_particle_of_weight_0_is_never_drawn():
    drawn = np.array(
        systematic(jax.random.key(2), np.array([-np.inf, *np.random.default_rng(0).normal(size=99), -np.inf]))
    )
    assert np.all(np.diff(drawn) >= 0)
    assert set(drawn) <= set(range(1, 100))


def test_the_effective_sample_size_is_n_for_equal_weights_one_for_a_single_one_and_k_for_k_equal_ones():
    assert effective_sample_size(jnp.full(50, 900.0)) == pytest.approx(50)
    assert effective_sample_size(jnp.array([-1000.0, -3000.0, 800.0])) == pytest.approx(1)
    assert effective_sample_size(jnp.array([-jnp.inf, 2.0, 2.0, 2.0])) == pytest.approx(3)
    w = np.exp(LOG_WEIGHTS)
    assert effective_sample_size(LOG_WEIGHTS) == pytest.approx(w.sum() ** 2 / (w**2).sum())


def test_weights_are_normalised_far_from_1():
    np.testing.assert_allclose(normalized(LOG_WEIGHTS - 5000.0), LOG_WEIGHTS, rtol=1e-9)


@pytest.mark.parametrize("lost", [[-np.inf, -np.inf], [0.0, np.nan], [0.0, np.inf]], ids=str)
def test_weights_that_are_no_weights_raise(lost):
    with pytest.raises(RuntimeError, match="NaN or \\+inf, or are all -inf"):
        normalized(jnp.array(lost)).block_until_ready()
