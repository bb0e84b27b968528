import numpy as np

from sde_jax.commands.evaluate.neighbours import nearest_examples
from sde_jax.data import Arrays


def test_the_nearest_examples_are_those_of_a_search_through_all():
    numbers = np.random.default_rng(0)
    data, samples = numbers.integers(0, 256, (100, 3, 2, 1), np.uint8), numbers.integers(0, 256, (5, 3, 2, 1), np.uint8)
    found = nearest_examples(samples, Arrays(data), 4)
    distance = np.linalg.norm((samples[:, None].astype(float) - data[None]).reshape(5, 100, -1), axis=2)
    expected = np.argsort(distance, 1, kind="stable")[:, :4]
    np.testing.assert_array_equal(found.index, expected)
    np.testing.assert_allclose(found.distance, np.take_along_axis(distance, expected, 1))
    np.testing.assert_array_equal(found.data, data[expected])


def test_a_sample_that_is_a_training_example_is_found_at_distance_zero():
    data = np.random.default_rng(1).normal(1e4, 1.0, (40, 2)).astype(np.float32)
    found = nearest_examples(data[[7, 33]], Arrays(data), 2)
    np.testing.assert_array_equal(found.index[:, 0], [7, 33])
    assert found.distance[:, 0].tolist() == [0.0, 0.0]


def test_of_equal_ones_the_first_comes_first_and_there_are_no_more_than_there_are():
    found = nearest_examples(np.zeros((1, 2), np.float32), Arrays(np.ones((3, 2), np.float32)), 5)
    assert found.index.tolist() == [[0, 1, 2]]
    assert found.data.shape == (1, 3, 2)
