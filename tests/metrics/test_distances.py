import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from sde_jax.metrics.distances import ROWS, nearest, nearest_others, squared_distances

RANDOM = np.random.default_rng(0)
X = (100 + RANDOM.normal(size=(ROWS + 300, 5))).astype(np.float32)
Y = (100 + RANDOM.normal(size=(ROWS + 77, 5))).astype(np.float32)


def test_blocks_of_distances_are_all_distances():
    blocks = list(squared_distances(X, Y))
    assert [rows for rows, _ in blocks] == [slice(0, ROWS), slice(ROWS, len(X))]
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), cdist(X, Y) ** 2, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_are_those_of_scikit_learn(k):
    for ours, asked in ((nearest(X, Y, k), X), (nearest_others(Y, k), None)):
        search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(Y.astype(np.float64))
        distances, rows = search.kneighbors(None if asked is None else asked.astype(np.float64))
        np.testing.assert_array_equal(ours.rows, rows)
        np.testing.assert_allclose(ours.distances, distances, rtol=1e-9)


def test_a_copy_is_at_distance_zero():
    found = nearest(X[:5], X, 2)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(5))
    np.testing.assert_array_equal(found.distances[:, 0], 0)
    assert np.all(nearest_others(X, 1).rows[:, 0] != np.arange(len(X)))
