"""The largest distance is exact, and where it is cut short its bounds hold."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from sde_jax.data.diameter import diameter

RNG = np.random.default_rng(0)
CLOUDS = {
    "normal": RNG.normal(size=(2500, 3)),
    "sphere": (lambda z: z / np.linalg.norm(z, axis=1, keepdims=True))(RNG.normal(size=(1500, 40))),
    "far away": 1e6 + RNG.normal(size=(1100, 2)),
    "levels": RNG.integers(0, 256, (1300, 12)).astype(np.uint8),
    "unsigned differences": np.array([[0, 255], [255, 0], [3, 3]], np.uint8),
    "one point": np.ones((1, 4)),
    "equal points": np.ones((5, 4)),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_the_diameter_is_the_largest_of_all_distances(name):
    points = CLOUDS[name]
    found = diameter(points)
    largest = pdist(points.astype(np.float64)).max(initial=0.0)
    np.testing.assert_allclose(found.lower, largest, rtol=1e-6)
    assert found.upper == found.lower
    i, j = found.pair
    np.testing.assert_allclose(found.lower, np.linalg.norm(points[i].astype(float) - points[j].astype(float)))


def test_numbers_are_measured_in_their_units():
    units = np.array([0.5, 2.0, 10.0])
    found = diameter(CLOUDS["normal"], units)
    np.testing.assert_allclose(found.lower, pdist(CLOUDS["normal"] / units).max(), rtol=1e-6)


@pytest.mark.parametrize("most", [0, 1, 5e7])
def test_a_search_that_is_cut_short_bounds_the_diameter(most):
    points = CLOUDS["sphere"]
    found = diameter(points, most_products=most)
    assert found.lower <= pdist(points).max() <= found.upper
    assert found.lower < found.upper
    assert found.lower > 0.5 * found.upper


def test_a_few_outliers_spare_the_rest_of_the_pairs():
    points = np.concatenate([RNG.normal(size=(4000, 8)), [[40.0] * 8, [-40.0] * 8]])
    found = diameter(points, most_products=1)
    np.testing.assert_allclose(found.lower, 80 * np.sqrt(8))
    assert found.upper == found.lower
