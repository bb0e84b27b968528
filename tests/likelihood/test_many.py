"""Many likelihoods in one program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.likelihood import bits_per_dims, log_likelihoods

N, LANES = 11, 4
MEAN, SPECTRUM = np.array([0.5, -1.0, 0.2]), np.array([0.4, 0.05, 0.002])
TOLERANCE = sj.Tolerance(1e-5, 1e-5)
SDE = sj.VP()


def drawn(seed=0, n=N):
    scales = np.geomspace(0.3, 30, n)[:, None]  # so that steps differ by a factor
    return MEAN + scales * np.sqrt(SPECTRUM) * np.random.default_rng(seed).normal(size=(n, 3))


def exact():
    return sj.exact.MixtureDenoiser(SDE, np.array([0.3, 0.7]), np.stack([MEAN, -MEAN]), np.stack([SPECTRUM] * 2))


@jax.jit
def many(keys, x):
    return log_likelihoods(keys, SDE, exact(), x, lanes=LANES, tolerance=TOLERANCE)


KEYS = jax.random.split(jax.random.key(0), N)


def test_many_likelihoods_in_order_are_those_of_each_alone_with_its_own_steps():
    @jax.jit
    @jax.vmap
    def each(key, x):
        return sj.log_likelihood(key, SDE, exact(), x, tolerance=TOLERANCE)

    found, alone = many(KEYS, drawn()), each(KEYS, drawn())
    np.testing.assert_array_equal(found.evaluations, alone.evaluations)
    assert np.ptp(found.evaluations) > 12
    np.testing.assert_allclose(found.value, alone.value, rtol=1e-10)
    np.testing.assert_allclose(found.latent, alone.latent, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.blur, alone.blur, rtol=1e-12)


@pytest.mark.parametrize("wide", [True, False], ids=["float64", "float32"])
def test_an_examples_bits_do_not_depend_on_those_beside_it_nor_on_its_place_in_line(wide):
    with jax.enable_x64(wide):
        x = jnp.asarray(drawn())
        found = many(KEYS, x)
        order = np.random.default_rng(1).permutation(N)
        moved = many(KEYS[order], x[order])
        for name in ("value", "latent", "evaluations", "blur"):
            np.testing.assert_array_equal(getattr(moved, name), getattr(found, name)[order])
        for one in (0, 5, N - 1):
            alone = many(KEYS[jnp.full(N, one)], x[jnp.full(N, one)])
            np.testing.assert_array_equal(alone.value, np.full(N, found.value[one]))


def test_lanes_are_given_to_the_next_in_line():
    # One in three is slow: in batches of three its neighbours would wait for it.
    calls = []

    def denoise(x, t):
        jax.debug.callback(lambda: calls.append(1))
        return exact()(x, t)

    x = np.tile(drawn()[[-1, 0, 0]], (3, 1))
    found = log_likelihoods(KEYS[:9], SDE, denoise, x, lanes=3, tolerance=TOLERANCE)
    jax.effects_barrier()
    steps, busy = (np.asarray(found.evaluations) - 1) // 6, np.zeros(3)
    for own in steps:
        busy[np.argmin(busy)] += own
    # a call for every three starts, and six a turn of the lanes, of which each takes the next when it is free
    assert len(calls) == 3 + 6 * busy.max()
    assert busy.max() < 0.9 * 3 * steps[0]


def test_bits_per_dimension_of_many_are_those_of_each_whatever_the_lanes():
    quantization, images = sj.Quantization(17), np.random.default_rng(0).integers(0, 17, (5, 3))
    settings = {"divergence": sj.Exact(), "tolerance": TOLERANCE, "start": 1e-4}

    @jax.jit
    @jax.vmap
    def each(key, image):
        return sj.bits_per_dim(key, SDE, exact(), image, quantization, **settings)

    alone = each(KEYS[:5], images)
    for lanes in (2, 64):
        found = bits_per_dims(KEYS[:5], SDE, exact(), images, quantization, lanes=lanes, **settings)
        np.testing.assert_allclose(found.value, alone.value, rtol=1e-9)
        np.testing.assert_array_equal(found.evaluations, alone.evaluations)


def test_one_that_cannot_reach_the_tolerance_raises_and_so_do_no_lanes_and_too_few_keys():
    tight = sj.Tolerance(1e-9, 1e-9, max_steps=8)
    with pytest.raises(Exception, match="did not reach rtol=1e-09, atol=1e-09 within 8 steps"):
        jax.block_until_ready(log_likelihoods(KEYS, SDE, exact(), drawn(), lanes=4, tolerance=tight))
    with pytest.raises(sj.InputError, match="lanes = 0: expected 1 or more"):
        log_likelihoods(KEYS, SDE, exact(), drawn(), lanes=0)
    with pytest.raises(sj.InputError, match="expected as many, one or more"):
        bits_per_dims(KEYS[:2], SDE, exact(), np.zeros((3, 3), int), sj.Quantization(17))
