import numpy as np
import pytest
from scipy.stats import norm

from sde_jax.ensembles import coverage, crps, rank_histogram, spread_skill, uniformity
from sde_jax.errors import InputError


def gaussians(spread: float = 1.0, shift: float = 0.0, n: int = 4000, m: int = 7, entries: int = 3):
    """Truths, and members around the same means: exchangeable where spread is 1 and shift 0."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(n, 1, entries))
    truth = mean[:, 0] + rng.normal(size=(n, entries))
    return truth, mean + shift + spread * rng.normal(size=(n, m, entries))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("m", [1, 7, 10])
def test_intervals_of_a_calibrated_ensemble_of_any_size_cover_what_they_say(level, m):
    found = coverage(*gaussians(m=m), level)
    assert abs(found.value - level) < 4 * found.standard_error + 1e-6
    assert found.standard_error < 0.01


def test_the_covered_share_of_a_large_ensemble_is_that_of_its_quantiles():
    truth, members = gaussians(spread=0.6, n=300, m=400)
    low, high = np.quantile(members, [0.05, 0.95], axis=1)
    assert coverage(truth, members, 0.9).value == pytest.approx(np.mean((low <= truth) & (truth <= high)), abs=0.01)


def test_narrow_ensembles_cover_less_and_wide_ones_more():
    narrow, wide = (coverage(*gaussians(spread), 0.9) for spread in (0.5, 2.0))
    assert narrow.value + 5 * narrow.standard_error < 0.9 < wide.value - 5 * wide.standard_error


@pytest.mark.parametrize(("spread", "bins"), [(1.0, 8), (1.0, 5), (0.6, 8), (1.6, 8)])
def test_ranks_are_uniform_where_calibrated_u_shaped_where_narrow_and_humped_where_wide(spread, bins):
    rows = rank_histogram(*gaussians(spread), bins)
    np.testing.assert_allclose(rows.sum(1), 3)
    share = rows.sum(0) / rows.sum()
    if spread == 1:
        assert uniformity(rows).p_value > 0.001
        return
    assert (share[0] > 1.2 / bins) == (share[-1] > 1.2 / bins) == (spread < 1)
    assert (share[bins // 2] < 1 / bins) == (spread < 1)
    assert uniformity(rows).p_value < 1e-6


def test_a_biased_ensemble_has_ranks_that_slope():
    share = rank_histogram(*gaussians(shift=0.5), 8).sum(0)
    assert np.all(np.diff(share) < 0)


def test_of_single_ranks_the_statistic_is_pearsons():
    counts = np.array([30, 20, 25, 45])
    rows = np.repeat(np.eye(4), counts, axis=0)
    n, share = counts.sum(), counts / counts.sum()
    pearson = np.sum((counts - n / 4) ** 2 / (n / 4))
    # The variance is the counts' own, not the hypothesis': (1 - sum p^2) for (1 - 1/b), and n - 1 for n.
    expected = pearson * (1 - 1 / 4) / (1 - np.sum(share**2)) * (n - 1) / n
    assert uniformity(rows).chi_square == pytest.approx(expected)


def test_p_values_are_uniform_although_the_ranks_of_an_example_are_all_the_same():
    rng = np.random.default_rng(1)
    p = [uniformity(10 * np.eye(6)[rng.integers(0, 6, 120)]).p_value for _ in range(400)]
    np.testing.assert_allclose(np.quantile(p, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.08)


def test_ties_are_spread_evenly():
    members = np.zeros((1, 3, 1))
    np.testing.assert_allclose(rank_histogram(np.zeros((1, 1)), members, 4), [[0.25] * 4])
    assert coverage(np.zeros((1, 1)), members, 0.5).value == pytest.approx(0.5)
    np.testing.assert_allclose(rank_histogram(np.ones((1, 1)), members, 4), [[0, 0, 0, 1]])


@pytest.mark.parametrize("m", [2, 5, 20])
def test_spread_over_skill_is_one_where_calibrated_at_any_size(m):
    found = spread_skill(*gaussians(m=m)).ratio
    assert abs(found.value - 1) < 4 * found.standard_error
    assert found.standard_error < 0.02


def test_spread_over_skill_is_that_of_the_deviations():
    truth, members = gaussians(spread=0.5, m=50)
    # skill^2 = 1 + 0.25 / 50; the correction takes the members' own noise for the truth's
    found = spread_skill(truth, members)
    assert found.spread == pytest.approx(0.5, rel=0.02)
    assert found.skill == pytest.approx(np.sqrt(1 + 0.25 / 50), rel=0.02)
    assert found.ratio.value == pytest.approx(np.sqrt(51 / 50) * 0.5, rel=0.03)


@pytest.mark.parametrize("m", [2, 9])
@pytest.mark.parametrize("y", [0.0, 1.7])
def test_the_fair_score_is_that_of_the_gaussian_whatever_the_number_of_members(m, y):
    members = np.random.default_rng(2).normal(size=(40000, m))
    found = crps(np.full(40000, y), members)
    exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert abs(found.value - exact) < 4 * found.standard_error


def test_the_score_is_least_for_the_right_spread():
    right, narrow, wide = (crps(*gaussians(spread)).value for spread in (1.0, 0.5, 2.0))
    assert right < min(narrow, wide)


def test_standard_errors_are_over_examples_whose_entries_are_all_alike():
    truth, members = gaussians(n=400, entries=1)
    one, many = (coverage(np.repeat(truth, k, -1), np.repeat(members, k, -1), 0.8) for k in (1, 50))
    assert many == pytest.approx(one)


def test_entries_that_do_not_count_change_nothing():
    truth, members = gaussians(n=50)
    where = np.random.default_rng(3).random(truth.shape) < 0.5
    other = np.where(where, truth, np.nan), np.where(where[:, None], members, np.nan)
    for measure in (
        lambda *a: coverage(*a, 0.8, where),
        lambda *a: crps(*a, where),
        lambda *a: spread_skill(*a, where).ratio,
        lambda *a: rank_histogram(*a, 4, where),
    ):
        np.testing.assert_allclose(measure(*other), measure(truth, members))


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: coverage(np.zeros((2, 3)), np.zeros((2, 4)), 0.9), r"expected \[n, \.\.\.\] and \[n, m"),
        (lambda: coverage(np.zeros(2), np.zeros((2, 4)), 1.0), "level = 1.0: expected a share"),
        (lambda: coverage(np.zeros(2), np.zeros((2, 4)), 0.9, False), "no entry counts"),
        (lambda: crps(np.zeros(2), np.zeros((2, 1))), "one member has no spread"),
        (lambda: spread_skill(np.zeros(2), np.zeros((2, 1))), "one member has no spread"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(call, what):
    with pytest.raises(InputError, match=what):
        call()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_counts_and_is_not_finite_is_refused_and_counted(value):
    truth, members = gaussians(n=5)
    for wrong, what in (
        ((np.where(truth == truth.min(), value, truth), members), "truth: 1 of 15 numbers"),
        ((truth, np.where(members >= np.sort(members, None)[-2], value, members)), "members: 2 of 105 numbers"),
        ((np.full_like(truth, value), members), "truth: 15 of 15 numbers"),
    ):
        for measure in (
            lambda *a: coverage(*a, 0.8),
            crps,
            spread_skill,
            lambda *a: rank_histogram(*a, 4),
        ):
            with pytest.raises(InputError, match=what):
                measure(*wrong)
    with pytest.raises(InputError, match="histogram: 1 of 6 numbers"):
        uniformity([[1, 2, 3], [3, value, 1]])


def test_an_ensemble_without_error_has_no_ratio_and_one_without_spread_a_ratio_of_zero():
    with pytest.raises(InputError, match="equals the truth"):
        spread_skill(np.zeros(3), np.zeros((3, 2)))
    assert spread_skill(np.ones(3), np.zeros((3, 2))).ratio == (0.0, 0.0)


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.ones(3), -np.eye(2)])
def test_what_counts_nothing_is_no_histogram(wrong):
    with pytest.raises(InputError, match="expected counts"):
        uniformity(wrong)
    with pytest.raises(InputError, match="bins = 0"):
        rank_histogram(np.zeros(2), np.zeros((2, 3)), 0)


def test_the_error_of_a_mean_over_examples_is_the_textbooks():
    """Of one entry an example the score is a plain mean: its error is the deviation, n - 1 degrees, over sqrt(n)."""
    truth, members = gaussians(n=4, entries=1)
    for measure in (crps, lambda *a: coverage(*a, 0.7)):
        alone = [measure(truth[i : i + 1], members[i : i + 1]).value for i in range(4)]
        found = measure(truth, members)
        assert found.value == pytest.approx(np.mean(alone))
        assert found.standard_error == pytest.approx(np.std(alone, ddof=1) / 2)


def test_the_error_of_the_ratio_is_its_deviation_over_sets_of_examples():
    truth, members = gaussians(spread=0.7, n=200 * 300, m=4, entries=1)
    sets = zip(truth.reshape(300, 200, 1), members.reshape(300, 200, 4, 1), strict=True)
    found = [spread_skill(*one).ratio for one in sets]
    deviation = np.std([one.value for one in found], ddof=1)
    # 300 sets tell a deviation to 4%
    assert np.mean([one.standard_error for one in found]) == pytest.approx(deviation, rel=0.15)


def test_two_members_have_the_variance_of_half_their_squared_difference():
    found = spread_skill(np.zeros((3, 1)), np.array([[[-1.0], [1.5]], [[2.0], [0.0]], [[1.0], [1.0]]]))
    assert found.spread == pytest.approx(np.sqrt(np.mean([2.5**2, 2.0**2, 0]) / 2))
    assert found.ratio.value == pytest.approx(np.sqrt(3 / 2) * found.spread / found.skill)


def test_ranks_stand_for_their_own_part_of_the_interval():
    """Two members: a truth below both is in the first third, one between them in the second."""
    members = np.tile(np.array([0.0, 1.0])[:, None], (3, 1, 1))
    rows = rank_histogram(np.array([[-1.0], [0.5], [2.0]]), members, 3)
    np.testing.assert_allclose(rows, np.eye(3), atol=1e-12)
    assert coverage(np.array([[0.5]]), members[:1], 1 / 3).value == pytest.approx(1)
    assert coverage(np.array([[-1.0]]), members[:1], 1 / 3).value == pytest.approx(0, abs=1e-12)


def test_the_p_value_has_one_degree_less_than_there_are_bins():
    rows = np.repeat(np.eye(2), [60, 40], axis=0)
    found = uniformity(rows)
    assert found.degrees == 1
    # of one degree: the square of a normal
    assert found.p_value == pytest.approx(2 * norm.sf(np.sqrt(found.chi_square)))
