import numpy as np
import pytest
import scipy.stats

from sde_jax.errors import InputError
from sde_jax.metrics import Memorisation, Outputs, data_copying

RANDOM = np.random.default_rng(0)
TRAINING = RANDOM.normal(size=(300, 6)).astype(np.float32)


def state_of(x, index=None):
    metric = Memorisation()
    return metric.update(
        metric.init(), Outputs(x.astype(np.float32), None, np.arange(len(x)) if index is None else index)
    )


def test_copies_are_found_with_their_originals():
    fresh = RANDOM.normal(size=(40, 6))
    copies = TRAINING[[7, 120]] + [[0.0], [0.01]]
    metric, training = Memorisation(), state_of(TRAINING, 1000 + np.arange(300))
    generated = state_of(np.concatenate([fresh, copies]))
    found = metric.nearest(generated, training)
    np.testing.assert_array_equal(found.generated, np.arange(42))
    np.testing.assert_array_equal(found.training[-2:], [1007, 1120])
    np.testing.assert_allclose(found.distance[-2:], [0, 0.01 * np.sqrt(6)], rtol=1e-4)
    distances = np.linalg.norm(fresh.astype(np.float32)[:, None].astype(float) - TRAINING, axis=-1)
    first, second = np.sort(distances, 1)[:, :2].T
    np.testing.assert_array_equal(found.training[:40], 1000 + distances.argmin(1))
    np.testing.assert_allclose(found.ratio[:40], first / second, rtol=1e-9)
    result = metric.result(generated, training)
    assert result.value == 2 / 42
    assert result.details["least_ratio"] == 0
    assert result.details["median_distance"] == pytest.approx(np.median(found.distance))
    assert result.details["median_ratio"] == pytest.approx(np.median(found.ratio))
    assert Memorisation(threshold=1.0).result(generated, training).value == 1


def test_a_threshold_is_on_the_ratio_to_the_second_nearest():
    training = state_of(np.array([[0.0], [4.0], [100.0]]))
    generated = state_of(np.array([[0.99], [1.01], [-1.0], [2.0]]))  # 0.99 / 3.01 is less than a third
    np.testing.assert_allclose(Memorisation().nearest(generated, training).ratio, [0.3289, 0.3378, 0.2, 1], atol=1e-4)
    assert Memorisation().result(generated, training).value == 2 / 4


def test_of_an_original_that_comes_twice_no_copy_can_be_told():
    training = state_of(np.array([[0.0], [0.0], [5.0]]))
    found = Memorisation().nearest(state_of(np.array([[0.0], [1.0]])), training)
    np.testing.assert_array_equal(found.ratio, [1, 1])


def test_data_copying_is_the_z_score_of_mann_and_whitney():
    for shift in (-0.5, 0.0, 0.7):
        x, y = RANDOM.normal(size=50) + shift, RANDOM.normal(size=80)
        test = scipy.stats.mannwhitneyu(x, y, alternative="less", method="asymptotic", use_continuity=False)
        assert data_copying(x, y) == pytest.approx(scipy.stats.norm.ppf(test.pvalue), rel=1e-9)
    rounded = np.round(RANDOM.normal(size=50))  # ties count by half
    assert data_copying(rounded, rounded) == 0


def test_data_copying_tells_copies_from_fresh_samples_and_from_strangers():
    metric, training = Memorisation(), state_of(TRAINING)
    near = lambda x: metric.nearest(state_of(x), training).distance  # noqa: E731
    held_out = near(RANDOM.normal(size=(200, 6)))
    assert data_copying(near(TRAINING[:100] + 0.1 * RANDOM.normal(size=(100, 6))), held_out) < -5
    assert abs(data_copying(near(RANDOM.normal(size=(100, 6))), held_out)) < 3
    assert data_copying(near(3 * RANDOM.normal(size=(100, 6))), held_out) > 5


@pytest.mark.parametrize("wrong", [np.zeros(0), np.zeros((2, 2))])
def test_data_copying_refuses_what_are_no_distances(wrong):
    for pair in ((wrong, np.ones(3)), (np.ones(3), wrong)):
        with pytest.raises(InputError, match="distances of shapes"):
            data_copying(*pair)
