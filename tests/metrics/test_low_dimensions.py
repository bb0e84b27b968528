import numpy as np
import pytest
import scipy.stats
from scipy.special import erf

from sde_jax.metrics import Energy, Outputs, SlicedWasserstein, energy, wasserstein
from sde_jax.metrics.parts import jackknife_error

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=70), 1.5 * RANDOM.normal(size=45) + 0.5


def state_of(x):
    x = np.asarray(x, np.float32)
    return Energy().update(Energy().init(), Outputs(x.reshape(len(x), -1), None, np.arange(len(x))))


def test_wasserstein_distance_of_unequal_numbers_is_that_of_scipy():
    assert wasserstein(X, Y, 1) == pytest.approx(scipy.stats.wasserstein_distance(X, Y), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_wasserstein_distance_of_as_many_pairs_them_by_rank(order):
    expected = np.mean(np.abs(np.sort(X[:45]) - np.sort(Y)) ** order)
    assert wasserstein(X[:45], Y, order) == pytest.approx(expected, rel=1e-12)
    # Examples that all come twice are the same distribution.
    assert wasserstein(np.tile(X[:45], 2), Y, order) == pytest.approx(expected, rel=1e-12)


def test_sliced_distance_of_a_moved_set_is_the_move_over_the_root_of_the_dimension():
    x, move = RANDOM.normal(size=(50, 3)), np.array([3.0, -4.0, 12.0])
    metric = SlicedWasserstein(directions=4000)
    assert metric.result(state_of(x + move), state_of(x)).value == pytest.approx(13 / np.sqrt(3), rel=0.02)
    # E |u.v| = |v| / 2 for u uniform on the sphere in three dimensions.
    first = SlicedWasserstein(directions=4000, order=1)
    assert first.result(state_of(x + move), state_of(x)).value == pytest.approx(6.5, rel=0.02)


def test_sliced_distance_in_one_dimension_needs_no_directions():
    for order in (1, 2):
        result = SlicedWasserstein(directions=2, order=order).result(state_of(X), state_of(Y))
        assert result.value == pytest.approx(wasserstein(X, Y, order) ** (1 / order), rel=1e-6)
    halves = wasserstein(Y[::2], Y[1::2], 2) ** 0.5
    assert result.details["reference_halves"] == pytest.approx(halves, rel=1e-6)


def test_directions_are_drawn_by_the_seed():
    x, y = RANDOM.normal(size=(2, 30, 3))
    values = [SlicedWasserstein(directions=3, seed=s).result(state_of(x), state_of(y)).value for s in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_energy_distance_in_one_dimension_is_that_of_scipy():
    result = Energy().result(state_of(X), state_of(Y))
    expected = scipy.stats.energy_distance(X.astype(np.float32), Y.astype(np.float32))
    assert result.details["distance"] == pytest.approx(expected, rel=1e-9)


def test_unbiased_energy_distance_leaves_out_pairs_of_a_row_with_itself():
    x, y = RANDOM.normal(size=(7, 2)), RANDOM.normal(size=(5, 2))
    pairs = lambda a, b: np.array([[np.hypot(*(p - q)) for q in b] for p in a])  # noqa: E731
    within = [np.mean(pairs(z, z)[~np.eye(len(z), dtype=bool)]) for z in (x, y)]
    assert energy(x, y)[0] == pytest.approx(2 * np.mean(pairs(x, y)) - sum(within), rel=1e-9)


def test_unbiased_energy_distance_of_gaussians_is_the_closed_form_on_average():
    def gap(mean, variance):
        """E |N(mean, variance)|."""
        s = np.sqrt(variance)
        return s * np.sqrt(2 / np.pi) * np.exp(-(mean**2) / (2 * variance)) + mean * erf(mean / (s * np.sqrt(2)))

    truth = 2 * gap(0.5, 1 + 1.5**2) - gap(0, 2) - gap(0, 2 * 1.5**2)
    results = [
        Energy().result(state_of(RANDOM.normal(size=40)), state_of(0.5 + 1.5 * RANDOM.normal(size=60)))
        for _ in range(300)
    ]
    values, errors = (np.array(v) for v in zip(*((r.value, r.standard_error) for r in results), strict=True))
    assert abs(values.mean() - truth) < 3.5 * values.std() / np.sqrt(300)
    assert 0.9 * values.std() < np.sqrt(np.mean(errors**2)) < 2.5 * values.std()
    same = [energy(*RANDOM.normal(size=(2, 20, 1)))[0] for _ in range(300)]
    assert abs(np.mean(same)) < 3.5 * np.std(same) / np.sqrt(300)
    assert min(same) < 0


@pytest.mark.parametrize(("shift", "scale", "largest"), [(1.0, 1.0, 1.15), (0.2, 1.0, 1.3), (0.5, 2.0, 1.15)])
@pytest.mark.parametrize("order", [1, 2])
def test_mean_square_error_of_the_sliced_distance_is_not_below_its_variance(shift, scale, largest, order):
    metric, random = SlicedWasserstein(directions=8, order=order), np.random.default_rng(1)
    draw = lambda shift, scale: state_of(shift + scale * random.normal(size=(100, 2)))  # noqa: E731
    results = [metric.result(draw(shift, scale), draw(0, 1)) for _ in range(400)]
    errors, values = (np.array(v) for v in zip(*((r.standard_error, r.value) for r in results), strict=True))
    ratio = np.sqrt(np.mean(errors**2)) / np.std(values)
    # Of 400 values the deviation is known to 3.5%.
    assert 0.93 < ratio < largest


def test_the_jackknifes_error_of_a_mean_is_that_of_the_groups_means():
    x = RANDOM.normal(size=(5, 7))
    without = np.array([np.delete(x, i, 0).mean() for i in range(5)])
    assert jackknife_error(without) == pytest.approx(np.std(x.mean(1), ddof=1) / np.sqrt(5))
    assert jackknife_error(without[:1]) is None


def test_the_jackknife_of_the_sliced_distance_leaves_out_every_tenth_of_both_sets():
    x, y = RANDOM.normal(size=(2, 40, 2))
    metric = SlicedWasserstein(directions=3)
    rest = [np.delete(np.arange(40), np.arange(i, 40, 10)) for i in range(10)]
    parts = [metric.result(state_of(x[kept]), state_of(y[kept])).value for kept in rest]
    assert metric.result(state_of(x), state_of(y)).standard_error == pytest.approx(jackknife_error(np.array(parts)))
