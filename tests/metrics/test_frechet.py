import numpy as np
import pytest
import scipy.linalg

from sde_jax.errors import InputError
from sde_jax.metrics import Frechet, Gaussian, Outputs, frechet_distance


def covariance(seed, d, rank=None):
    root = np.random.default_rng(seed).normal(size=(d, rank or d))
    return root @ root.T / d


def centred(s):
    return Gaussian(np.zeros(len(s)), s, None)


def state_of(metric, x, batch=10**9):
    state = metric.init()
    for i in range(0, len(x), batch):
        index = np.arange(i, min(i + batch, len(x)))
        state = metric.update(state, Outputs(x[index], None, index))
    return state


def test_distance_of_gaussians_of_one_dimension_is_that_of_mean_and_deviation():
    a, b = (Gaussian(np.array([m]), np.array([[s**2]]), None) for m, s in ((1.0, 0.5), (-0.5, 2.0)))
    assert frechet_distance(a, b) == pytest.approx(1.5**2 + 1.5**2, rel=1e-12)


def test_distance_of_gaussians_that_share_their_axes_is_that_of_every_axis():
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    first, second, means = np.array([1, 2, 3, 0.1, 0]), np.array([2, 0.5, 3, 0, 1.5]), np.arange(10.0).reshape(2, 5)
    a, b = (Gaussian(m, (axes * v) @ axes.T, None) for m, v in zip(means, (first, second), strict=True))
    expected = 5 * 5**2 + np.sum((np.sqrt(first) - np.sqrt(second)) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-7)


def test_distance_of_gaussians_of_two_dimensions_is_the_closed_form():
    # A 2x2 matrix with eigenvalues a and b: (sqrt(a) + sqrt(b))^2 = trace + 2 sqrt(determinant).
    for seed in range(5):
        s, r = covariance(seed, 2), covariance(seed + 100, 2)
        root = np.sqrt(np.trace(s @ r) + 2 * np.sqrt(np.linalg.det(s) * np.linalg.det(r)))
        expected = np.trace(s) + np.trace(r) - 2 * root
        assert frechet_distance(centred(s), centred(r)) == pytest.approx(expected, rel=1e-9)


def test_distance_agrees_with_the_matrix_square_root():
    for d in (3, 40):
        s, r, mean = covariance(0, d), covariance(1, d), np.linspace(0, 1, d)
        expected = mean @ mean + np.trace(s + r - 2 * scipy.linalg.sqrtm(s @ r).real)
        assert frechet_distance(Gaussian(mean, s, None), centred(r)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("rank_a", "rank_b"), [(4, 4), (4, 16), (16, 4), (9, 12)])
def test_singular_covariances_have_a_distance(rank_a, rank_b):
    # With S = A A^T and R = B B^T, tr (S R)^(1/2) is the sum of the singular values of A^T B.
    random = np.random.default_rng(rank_a)
    a, b = random.normal(size=(16, rank_a)), random.normal(size=(16, rank_b))
    expected = np.sum(a**2) + np.sum(b**2) - 2 * np.linalg.svd(a.T @ b)[1].sum()
    assert frechet_distance(centred(a @ a.T), centred(b @ b.T)) == pytest.approx(expected, rel=1e-6)
    same = frechet_distance(centred(a @ a.T), centred(a @ a.T))
    assert 0 <= same < 1e-6 * np.sum(a**2)


def test_gaussians_of_other_dimension_have_no_distance():
    with pytest.raises(InputError, match="2 features, the reference 3"):
        frechet_distance(centred(np.eye(2)), centred(np.eye(3)))


def test_eight_uneven_parts_merge_to_the_single_pass():
    random = np.random.default_rng(0)
    d, metric = 12, Frechet()
    mix = np.eye(d) + 0.3 * random.normal(size=(d, d))
    x, y = (((50 + s * random.normal(size=(n, d))) @ mix).astype(np.float32) for n, s in ((900, 1.0), (700, 1.2)))
    state, cuts = metric.init(), np.cumsum([1, 2, 300, 7, 90, 200, 33])
    for part in np.split(random.permutation(900), cuts):
        state = metric.merge(state, metric.update(metric.init(), Outputs(x[part], None, part)))
    model, data = (Gaussian(z.mean(0, dtype=float), np.cov(z.T, dtype=float), len(z)) for z in (x, y))
    result = metric.result(state, state_of(metric, y, 64))
    assert result.value == pytest.approx(frechet_distance(model, data), rel=1e-6)
    assert (result.samples, result.reference_samples) == (900, 700)
    assert metric.result(state, data).value == pytest.approx(result.value, rel=1e-9)


def replicates(metric, d, n, count):
    """Results for samples of a Gaussian against the exact moments of another, and their exact distance."""
    random = np.random.default_rng(0)
    data, model = (
        centred(np.diag(np.linspace(0.5, 2, d))),
        Gaussian(np.full(d, 0.05), np.diag(np.linspace(0.6, 1.5, d)), None),
    )
    draw = lambda: (model.mean + random.normal(size=(n, d)) * np.sqrt(np.diag(model.covariance))).astype(np.float32)  # noqa: E731
    return [metric.result(state_of(metric, draw()), data) for _ in range(count)], frechet_distance(model, data)


@pytest.mark.parametrize(("d", "n", "left"), [(8, 400, 0.02), (48, 800, 0.05)])
def test_extrapolation_to_infinity_takes_the_bias_of_few_samples_away(d, n, left):
    results, truth = replicates(Frechet(8), d, n, 40)
    plain, infinity = (
        np.array(values) for values in zip(*((r.value, r.details["frechet_infinity"]) for r in results), strict=True)
    )
    bias, error = plain.mean() - truth, infinity.std() / np.sqrt(40)
    assert bias > 5 * error
    assert abs(infinity.mean() - truth) < left * bias + 3 * error
    assert infinity.std() < 1.5 * plain.std()
    assert all(0 < r.details["frechet_infinity_fit_error"] < bias for r in results)


def test_standard_error_is_the_spread_of_repeated_samples():
    results, _ = replicates(Frechet(8), 4, 800, 60)
    errors = np.array([r.standard_error for r in results])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.std([r.value for r in results]), rel=0.35)


def test_two_blocks_extrapolate_as_richardson_did():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    data = centred(2 * np.eye(3))
    result = Frechet(2).result(state_of(Frechet(2), x), data)
    halves = [Frechet(1).result(state_of(Frechet(1), half), data) for half in (x[::2], x[1::2])]
    assert result.details == {"frechet_infinity": pytest.approx(2 * result.value - np.mean([h.value for h in halves]))}
    difference = abs(halves[0].value - halves[1].value)
    assert result.standard_error == pytest.approx(difference / 2)
    assert halves[0].details == {}
    assert halves[0].standard_error is None


def test_four_blocks_are_fitted_by_weighted_least_squares():
    x = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    data = centred(2 * np.eye(3))
    one = lambda rows: Frechet(1).result(state_of(Frechet(1), x[rows]), data).value  # noqa: E731
    index, result = np.arange(120) % 4, Frechet(4).result(state_of(Frechet(4), x), data)
    blocks = [one(index == block) for block in range(4)]
    values = np.array([np.mean(blocks), (one(index < 2) + one(index >= 2)) / 2, one(index < 4)])
    weights, rates = np.array([1, 2, 4]) / 4, 1 / np.array([30, 60, 120])
    rows = np.stack([weights, weights * rates], 1)
    (infinity, _), (left,), *_ = np.linalg.lstsq(rows, weights * values)
    assert result.details == {
        "frechet_infinity": pytest.approx(infinity),
        "frechet_infinity_fit_error": pytest.approx(np.sqrt(left)),
    }
    assert result.standard_error == pytest.approx(np.std(blocks, ddof=1) / 2)


def test_fewer_examples_than_features_are_told_with_the_result():
    x = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    few, enough = (state_of(Frechet(), part) for part in (x[:20], x))
    assert "the sample has 20 examples and 30 features" in Frechet().result(few, enough).warnings[0]
    assert "the reference has 20 examples" in Frechet().result(enough, few).warnings[0]
    result = Frechet().result(enough, enough)
    assert result.details == {}
    assert result.warnings == ("40 examples are too few to extrapolate to infinity; expected more than 120",)
    assert not Frechet(1).result(enough, enough).warnings


def test_a_reference_of_unknown_size_is_told_with_the_result():
    result = Frechet(1).result(state_of(Frechet(1), np.eye(3, 2, dtype=np.float32)), centred(np.eye(2)))
    assert result.reference_samples is None
    assert result.warnings == ("how many examples the reference was computed from is unknown",)
