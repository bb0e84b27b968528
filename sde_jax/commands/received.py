"""Results of compiled programs where they arrive: on the host, and checked."""

from typing import Any

from sde_jax import processes
from sde_jax.checks import Checks
from sde_jax.errors import NumericalError, RunError


def received(judged: tuple[Any, Checks]) -> Any:
    """Return the result of a `checks.judged` program as NumPy arrays, whole on every process; all call it together.

    Raises `RunError` with what its checks say: a tolerance not reached, NaN or infinity.
    """
    result, checks = processes.on_host(judged)
    try:
        checks.require()
    except NumericalError as error:
        raise RunError(str(error)) from None
    return result
