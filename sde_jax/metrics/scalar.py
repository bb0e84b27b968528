"""The mean of one number an example, such as a loss or bits per dimension."""

import numpy as np

from sde_jax.errors import InputError
from sde_jax.metrics.metric import Result
from sde_jax.metrics.moments import Moments, gaussian
from sde_jax.metrics.outputs import require_finite
from sde_jax.metrics.parts import interval


def mean_over_examples(numbers: Moments) -> Result:
    """Return the mean of n examples' numbers, each drawn in p passes, from the moments of rows [n, p].

    The standard error is that of the mean over examples of their passes' mean; it contains the noise of the passes.
    `pass_standard_error` among the details, from two passes on, is what that noise alone makes of it: with r the rows
    less their means over rows and over columns, sqrt(sum r^2 / ((n - 1) (p - 1)) / (n p)). Raises `InputError` for no
    examples, or numbers that are not finite.
    """
    n, passes = int(numbers.examples), numbers.mean.size
    if not n or not passes:
        raise InputError(f"{n} examples of {passes} passes; expected one or more of both")
    require_finite(means=numbers.mean, scatter=numbers.scatter)
    value, details = float(numbers.mean.mean()), {"passes": float(passes)}
    if n < 2:
        return Result(value, samples=n, details=details)
    covariance = gaussian(numbers).covariance
    error = float(np.sqrt(covariance.mean() / n))
    if passes > 1:
        noise = (np.trace(covariance) - passes * covariance.mean()) / (passes - 1)
        details["pass_standard_error"] = float(np.sqrt(max(noise, 0.0) / (n * passes)))
    return Result(value, error, interval(value, error, n - 1), n, None, details)
