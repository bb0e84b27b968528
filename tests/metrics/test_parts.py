"""Errors of means of parts: against the textbook."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from sde_jax.metrics.parts import jackknife_error, mean_of

VALUES = np.array([1.0, 4.0, 2.5, 0.0])


def test_the_error_and_the_interval_of_a_mean_are_students():
    found, student = mean_of(VALUES), ttest_1samp(VALUES, 0.0).confidence_interval(0.95)
    assert found.standard_error == pytest.approx(np.std(VALUES, ddof=1) / 2)
    assert found.interval == pytest.approx((student.low, student.high))
    halves = mean_of(VALUES, independent=2)
    assert halves.standard_error == pytest.approx(np.std(VALUES, ddof=1) / np.sqrt(2))
    assert halves.interval[1] - halves.value == pytest.approx(t.ppf(0.975, 1) * halves.standard_error)


def test_the_jackknife_s_error_of_a_mean_is_that_of_the_mean():
    left_out = [np.delete(VALUES, i).mean() for i in range(4)]
    assert jackknife_error(np.array(left_out)) == pytest.approx(np.std(VALUES, ddof=1) / 2)
