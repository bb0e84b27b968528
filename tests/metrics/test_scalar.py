import numpy as np
import pytest
from scipy import stats

from sde_jax.errors import InputError
from sde_jax.metrics import mean_over_examples, merged, moments


def test_mean_and_error_are_those_of_the_mean_of_an_examples_passes():
    bits = 3 + np.random.default_rng(0).normal(size=(50, 4))
    result = mean_over_examples(merged(*(moments(part) for part in np.split(bits, [3, 3, 20]))))
    each = bits.mean(1)
    assert result.value == pytest.approx(each.mean())
    assert result.standard_error == pytest.approx(stats.sem(each))
    assert result.interval == pytest.approx(stats.t.interval(0.95, 49, each.mean(), stats.sem(each)))
    assert (result.samples, result.details["passes"]) == (50, 4)


def test_noise_of_the_passes_is_told_from_what_examples_differ_by():
    random = np.random.default_rng(0)
    n, passes, noise = 4000, 3, 0.2
    values = random.normal(size=(n, 1)) + noise * random.normal(size=(n, passes)) + np.arange(passes)
    result = mean_over_examples(moments(values))
    assert result.details["pass_standard_error"] == pytest.approx(noise / np.sqrt(n * passes), rel=0.05)
    assert result.standard_error == pytest.approx(np.sqrt((1 + noise**2 / passes) / n), rel=0.05)


def test_a_single_pass_or_example_says_less():
    assert mean_over_examples(moments(np.array([[1.0], [2.0]]))).details == {"passes": 1}
    result = mean_over_examples(moments(np.array([[1.0, 2.0]])))
    assert (result.value, result.standard_error, result.interval) == (1.5, None, None)


@pytest.mark.parametrize("wrong", [np.zeros((0, 1)), np.zeros((3, 0))])
def test_what_has_no_mean_is_refused(wrong):
    with pytest.raises(InputError, match="one or more"):
        mean_over_examples(moments(wrong))
