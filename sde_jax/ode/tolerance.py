"""What an adaptive solver promises."""

from dataclasses import dataclass
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from sde_jax.checks import require
from sde_jax.errors import InputError, whole
from sde_jax.pytree import concrete


@dataclass(frozen=True)
class Tolerance:
    """What an adaptive solver promises: a local error below atol + rtol |y|, within `max_steps` steps.

    Raises `InputError` unless all three are positive.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    max_steps: int = 4096

    def __post_init__(self):
        both = self.rtol, self.atol  # no tracers, which no message could tell
        if not (concrete(both) and all(0 < one < float("inf") for one in both) and whole(self.max_steps, 1)):
            raise InputError(f"{self}: expected rtol > 0, atol > 0 and max_steps > 0, tolerances finite, steps whole")

    def check_resolution(self, y: Any) -> None:
        """Raise `InputError` where rtol is below ten times the spacing of the numbers that y is made of."""
        dtype = jnp.result_type(*jax.tree.leaves(y))
        least = 10 * float(jnp.finfo(dtype).eps)
        if self.rtol < least:
            raise InputError(
                f"{self}: {dtype} does not resolve this rtol: expected rtol >= {least:.1e}, or float64 numbers"
            )

    def require(self, value: Any, solution: diffrax.Solution, what: str) -> Any:
        """Return `value`; raise, when it is computed, if the solution did not reach the tolerance."""
        return require(
            value,
            diffrax.is_successful(solution.result),
            f"{what} did not reach rtol={self.rtol:g}, atol={self.atol:g} within {self.max_steps} steps: "
            "loosen the tolerance or raise max_steps",
        )
