import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from sde_jax.errors import InputError
from sde_jax.metrics import DensityCoverage, Outputs, PrecisionRecall


def state_of(x):
    metric = PrecisionRecall()
    return metric.update(metric.init(), Outputs(x.astype(np.float32), None, np.arange(len(x))))


def draws(n=1200, m=1100):
    random = np.random.default_rng(0)
    return (0.8 * random.normal(size=(n, 4))).astype(np.float32), (0.3 + random.normal(size=(m, 4))).astype(np.float32)


def radii(x, k):
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x.astype(np.float64)).kneighbors()[0][:, -1]


def test_precision_and_recall_are_shares_in_the_balls_of_brute_force():
    x, y = draws()
    distances = pairwise_distances(x.astype(np.float64), y.astype(np.float64))
    precision = np.any(distances <= radii(y, 3), axis=1)
    recall = np.any(radii(x, 3) >= distances.T, axis=1)
    result = PrecisionRecall().result(state_of(x), state_of(y))
    assert result.value == result.details["precision"] == precision.mean()
    assert result.details["recall"] == recall.mean()
    assert precision.mean() - recall.mean() > 0.1
    assert result.standard_error == pytest.approx(np.sqrt(precision.mean() * (1 - precision.mean()) / (len(x) - 1)))
    assert result.details["recall_standard_error"] == pytest.approx(
        np.sqrt(recall.mean() * (1 - recall.mean()) / (len(y) - 1))
    )
    assert result.warnings == ("1200 generated and 1100 reference examples: both shares depend on these",)


def test_density_and_coverage_count_the_balls_of_brute_force():
    x, y = draws()
    inside = pairwise_distances(x.astype(np.float64), y.astype(np.float64)) <= radii(y, 5)
    result = DensityCoverage().result(state_of(x), state_of(y))
    assert result.value == result.details["density"] == pytest.approx(inside.sum() / (5 * len(x)))
    assert result.details["coverage"] == np.any(inside, axis=0).mean()
    assert result.standard_error == pytest.approx(inside.sum(1).std(ddof=1) / 5 / np.sqrt(len(x)))
    assert result.warnings == ()


@pytest.mark.parametrize("k", [1, 4])
def test_copies_of_the_data_are_precise_and_recall_all_and_lie_on_the_rims_of_k_balls(k):
    _, y = draws()
    result = PrecisionRecall(k=k).result(state_of(y), state_of(y))
    assert (result.details["precision"], result.details["recall"]) == (1, 1)
    # In its own original's ball, and in those of the examples whose neighbour it is: k on average.
    result = DensityCoverage(k=k).result(state_of(y), state_of(y))
    assert (result.value, result.details["coverage"]) == (pytest.approx((1 + k) / k), 1)


def test_samples_elsewhere_share_nothing_with_the_data():
    x, y = draws(20, 20)
    for metric in (PrecisionRecall(), DensityCoverage()):
        result = metric.result(state_of(x + 100), state_of(y))
        assert set(result.details.values()) == {0.0}


def test_samples_of_the_data_have_density_1():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 2000, 3))
    result = DensityCoverage().result(state_of(x), state_of(y))
    assert abs(result.value - 1) < 4 * result.standard_error + 0.02


def test_a_neighbour_must_exist():
    x, y = draws(3, 4)
    with pytest.raises(InputError, match="expected 4 or more"):
        PrecisionRecall().result(state_of(x), state_of(y))
    assert PrecisionRecall(k=2).result(state_of(x), state_of(y)).samples == 3


def test_precision_and_recall_are_those_of_torch_fidelity():
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    torch = pytest.importorskip("torch")
    x, y = draws(400, 350)
    result = PrecisionRecall().result(state_of(x), state_of(y))
    shares = theirs.calculate_precision_recall_full(*(torch.from_numpy(z.astype(float)) for z in (x, y)))
    assert (result.details["precision"], result.details["recall"]) == pytest.approx(shares, rel=1e-6)
