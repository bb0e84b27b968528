import math

import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.metrics import Gaussian, gaussian, merged, moments, no_moments, read_gaussian, write_gaussian


def exact_covariance(x, i, j):
    """By two passes whose sums are rounded once, at their end."""
    a, b = (x[:, c].astype(np.float64) for c in (i, j))
    a, b = (c - math.fsum(c) / len(c) for c in (a, b))
    return math.fsum(a * b) / (len(x) - 1)


def worst(x, batch, pairs):
    """The largest errors of mean and covariance from batches, relative to the deviations."""
    result = gaussian(merged(*(moments(x[i : i + batch]) for i in range(0, len(x), batch))))
    assert result.examples == len(x)
    deviation = np.sqrt(np.diag(result.covariance))
    mean = max(abs(result.mean[i] - math.fsum(x[:, i]) / len(x)) / deviation[i] for i, _ in pairs)
    errors = [(result.covariance[i, j] - exact_covariance(x, i, j)) / (deviation[i] * deviation[j]) for i, j in pairs]
    return mean, np.max(np.abs(errors))


@pytest.mark.parametrize("center", [100.0, 30_000.0])
def test_moments_of_batches_are_the_exact_ones_to_twelve_digits_whatever_the_mean(center):
    d = 6
    random = np.random.default_rng(0)
    x = (center + random.normal(size=(5000, d)) @ random.normal(size=(d, d))).astype(np.float32)
    pairs = [(i, j) for i in range(d) for j in range(d)]
    mean, covariance = worst(x, 37, pairs)
    assert mean < 1e-15 * center + 1e-14
    assert covariance < 1e-12


@pytest.mark.slow
def test_50_000_by_2_048_float32_features_accumulate_to_thirteen_digits():
    n, d = 50_000, 2048
    random = np.random.default_rng(0)
    x = 100 + random.standard_normal((n, d), np.float32)
    x[:, 1::2] += x[:, ::2]
    mean, covariance = worst(x, 500, [(0, 0), (0, 1), (1, 1), *random.integers(0, d, (20, 2))])
    assert mean < 1e-13
    assert covariance < 1e-14


def test_no_examples_have_no_covariance():
    for part in (no_moments(), moments(np.ones((1, 3)))):
        with pytest.raises(InputError, match="two or more"):
            gaussian(part)


@pytest.mark.parametrize("examples", [None, 50_000])
def test_a_mean_and_a_covariance_survive_a_file_in_edm_layout(tmp_path, examples):
    path, values = (
        tmp_path / "fid-refs.npz",
        Gaussian(np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]]), examples),
    )
    with path.open("wb") as file:
        write_gaussian(file, values, {"features": "raw", "data": "abc"})
    with np.load(path, allow_pickle=False) as theirs:
        np.testing.assert_array_equal(theirs["mu"], values.mean)
        np.testing.assert_array_equal(theirs["sigma"], values.covariance)
        assert str(theirs["features"]) == "raw"
    again = read_gaussian(path)
    assert again.examples == examples
    np.testing.assert_array_equal(again.mean, values.mean)
    np.testing.assert_array_equal(again.covariance, values.covariance)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(2)}, "mu and sigma"),
        ({"mu": np.array([{}]), "sigma": np.eye(1)}, "mu and sigma"),
        ({"mu": np.zeros(2), "sigma": np.eye(3)}, r"\(2,\).*\(3, 3\)"),
        ({"mu": np.zeros((1, 2)), "sigma": np.eye(2)}, r"\(1, 2\)"),
        ({"mu": np.array([0.0, np.nan]), "sigma": np.eye(2)}, "finite"),
        ({"mu": np.zeros(2), "sigma": np.array([[1.0, 0.5], [-0.5, 1.0]])}, "symmetric"),
    ],
)
def test_a_file_that_holds_no_gaussian_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "stats.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_gaussian(tmp_path / "stats.npz")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "stats.npz").write_bytes(b"no zip")
    for name in ("stats.npz", "missing.npz"):
        with pytest.raises(InputError, match=f"{name}.*make the statistics again"):
            read_gaussian(tmp_path / name)
