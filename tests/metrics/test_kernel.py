import itertools
from math import comb

import numpy as np
import pytest

from sde_jax.metrics import Kernel, Outputs, kernel_distance


def state_of(x):
    x = np.asarray(x, np.float32)
    return Kernel().update(Kernel().init(), Outputs(x.reshape(len(x), -1), None, np.arange(len(x))))


def draw(random, n):
    """N(0.3, 1.2^2), N(0, 1) and, the kernel being (1 + x y)^3, sum_j C(3, j) (E x^j - E y^j)^2."""
    m, s = 0.3, 1.2
    moments = zip((m, m**2 + s**2, m**3 + 3 * m * s**2), (0.0, 1.0, 0.0), strict=True)
    truth = sum(comb(3, j) * (a - b) ** 2 for j, (a, b) in enumerate(moments, 1))
    return m + s * random.normal(size=n), random.normal(size=n), truth


def test_kernel_distance_is_the_mean_over_pairs_of_different_rows():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 3)), 0.5 + random.normal(size=(9, 3))
    kernel = lambda a, b: (sum(a * b) / 3 + 1) ** 3  # noqa: E731
    within = [np.mean([kernel(*pair) for pair in itertools.permutations(z, 2)]) for z in (x, y)]
    between = np.mean([kernel(*pair) for pair in itertools.product(x, y)])
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-10)


def test_kernel_distance_in_blocks_is_that_of_a_single_matrix():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(1500, 2)), random.normal(size=(1100, 2))
    grams = [(a @ b.T / 2 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    within = [np.mean(g[~np.eye(len(g), dtype=bool)]) for g in grams[:2]]
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * np.mean(grams[2]), rel=1e-7)


def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth():
    random, metric = np.random.default_rng(0), Kernel(subsets=20, size=15)
    results, truth = [], 0.0
    for _ in range(100):
        x, y, truth = draw(random, 300)
        results.append(metric.result(state_of(x), state_of(y)))
    for values in ([r.value for r in results], [r.details["all_pairs"] for r in results]):
        assert abs(np.mean(values) - truth) < 3.5 * np.std(values) / np.sqrt(100)
    errors = np.array([r.standard_error for r in results])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.std([r.value for r in results]), rel=0.25)
    assert np.mean([r.interval[0] < truth < r.interval[1] for r in results]) > 0.85


def test_subsets_that_hold_everything_give_the_estimate_of_all_pairs():
    x, y, _ = draw(np.random.default_rng(0), 30)
    result = Kernel(subsets=3, size=100).result(state_of(x), state_of(y))
    assert result.value == pytest.approx(result.details["all_pairs"])
    assert result.standard_error is result.interval is None
    assert result.warnings == ("subsets have 30 examples instead of 100: there are no more",)


def test_subsets_of_a_round_share_no_example_and_are_drawn_anew_with_another_seed():
    # An outlier is in one subset of every round of four, whichever it is.
    x, y = np.zeros(40), np.zeros(40)
    x[17] = 3.0
    outlier = kernel_distance(x[10:20].reshape(-1, 1), y[:10].reshape(-1, 1))
    for subsets in (4, 8):
        assert Kernel(subsets=subsets, size=10).result(state_of(x), state_of(y)).value == pytest.approx(outlier / 4)
    x, y, _ = draw(np.random.default_rng(0), 200)
    values = {Kernel(subsets=2, size=20, seed=seed).result(state_of(x), state_of(y)).value for seed in (0, 0, 1)}
    assert len(values) == 2


def test_every_subset_is_full():
    x, y, _ = draw(np.random.default_rng(0), 6)
    given = state_of(x), state_of(y)
    first, both = (Kernel(subsets=n, size=5).result(*given).value for n in (1, 2))
    parts = [[np.delete(state.features, i, 0) for i in range(6)] for state in given]
    possible = [kernel_distance(*pair) for pair in itertools.product(*parts)]
    for value in (first, 2 * both - first):
        assert np.min(np.abs(np.array(possible) - value)) < 1e-9


def test_subsets_of_both_sets_are_drawn_independently():
    # Of the same data as both: equal subsets would be 0.3 too near, for a row is then paired with itself.
    x = np.random.default_rng(0).uniform(-1, 1, size=1000)
    result = Kernel(subsets=100, size=10).result(state_of(x), state_of(x))
    assert abs(result.value) < 4 * result.standard_error < 0.2


def test_many_subsets_are_not_taken_for_many_examples():
    # The error is that of the examples: more subsets of the same ones do not lower it.
    x, y, _ = draw(np.random.default_rng(1), 1000)
    few, many = (Kernel(subsets=n, size=50).result(state_of(x), state_of(y)).standard_error for n in (20, 200))
    assert many == pytest.approx(few, rel=0.4)


def test_kernel_distance_is_that_of_torch_fidelity():
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 32)), 0.2 + random.normal(size=(60, 32))
    mean = theirs.kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=2, kid_subset_size=60, verbose=False
    )["kernel_inception_distance_mean"]
    assert kernel_distance(x, y) == pytest.approx(mean, rel=1e-6)
