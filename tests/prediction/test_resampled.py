import itertools

import jax
import numpy as np
import pytest

import sde_jax as sj

MEAN, COVARIANCE = np.array([0.5, -1.0, 0.2]), np.array([[0.5, 0.1, 0.0], [0.1, 0.3, -0.1], [0.0, -0.1, 0.2]])
PATHS = [
    sj.VP(),
    sj.SubVP(),
    sj.VE(),
    sj.EDMPath(),
    sj.Cosine(),
    sj.RectifiedFlow(),
    sj.MeanReverting(np.array([2.0, 0.0, -1.0]), 0.7),
    sj.DDPM(steps=40),
]


RING = [(i, (i + 1) % len(PATHS)) for i in range(len(PATHS))]
ALL = list(itertools.permutations(range(len(PATHS)), 2))


@pytest.mark.parametrize("pairs", [RING, pytest.param(ALL, marks=pytest.mark.slow)], ids=["ring", "all"])
def test_an_exact_denoiser_of_one_path_is_that_of_every_other(pairs):
    x, times = np.array([0.4, -0.3, 1.1]), np.array([0.05, 0.3, 0.6])

    @jax.jit
    def both():
        oracles = [sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE) for sde in PATHS]
        ours, theirs = [], []
        for i, j in pairs:
            moved = sj.at_equal_log_snr(oracles[i], PATHS[i], PATHS[j])
            ours.append(jax.vmap(moved, (None, 0))(x, times))
            theirs.append(jax.vmap(oracles[j], (None, 0))(x, times))
        return ours, theirs

    # what the two have in common: times of the one whose log-SNR the other passes too
    log_snr = [np.array(jax.jit(jax.vmap(sde.log_snr))(np.array([1e-12, *times, 1.0]))) for sde in PATHS]
    for (i, j), ours, theirs in zip(pairs, *both(), strict=True):
        shared = (log_snr[j][1:4] < log_snr[i][0]) & (log_snr[j][1:4] > log_snr[i][-1])
        assert shared.any()
        np.testing.assert_allclose(ours[shared], theirs[shared], rtol=1e-8, err_msg=f"{PATHS[i]} on {PATHS[j]}")


def test_where_nothing_of_the_data_is_left_the_noisiest_network_speaks():
    trained, sampled = sj.VP(), sj.RectifiedFlow()
    exact = sj.exact.GaussianDenoiser(trained, MEAN, COVARIANCE)
    x = np.array([0.4, -0.3, 1.1])
    np.testing.assert_allclose(sj.at_equal_log_snr(exact, trained, sampled)(x, 1.0), exact(x, 1.0), rtol=1e-6)


def test_schedules_of_more_than_one_log_snr_are_refused():
    with pytest.raises(sj.InputError, match=r"VE: log_snr of shape \(2,\): expected a scalar schedule"):
        sj.at_equal_log_snr(lambda x, t: x, sj.VP(), sj.VE(0.1, np.array([10.0, 20.0])))
