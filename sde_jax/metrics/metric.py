"""What a metric is: a monoid over examples, and a result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias

from sde_jax.metrics.outputs import Outputs

State: TypeAlias = Any
"""A pytree of NumPy arrays. Its structure is fixed by the metric, shapes grow with what is counted, so that it can be
stored as npz and sent between processes."""


@dataclass(frozen=True)
class Result:
    """What a metric says, and of how many examples.

    value: the estimate; standard_error: of the estimate, None where it cannot be told; interval: (low, high) that holds
    the true value with probability 95%, None where that cannot be told or the estimate is biased; samples,
    reference_samples: the examples it was computed from, None where there are none or their number is unknown; details:
    further numbers by name; warnings: lines to be shown with the value.
    """

    value: float
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    samples: int = 0
    reference_samples: int | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Metric(Protocol):
    """A frozen dataclass whose states form a monoid: `init` its unit, `merge` its associative product.

    The order of examples, their division into batches and over processes change a result by rounding at most; the same
    updates in the same order give the same bits. States of different settings do not mix.
    """

    uses_reference: ClassVar[bool]
    """Whether `result` compares with a reference; it takes None in its place otherwise."""

    def init(self) -> State:
        """Return the state of no examples."""
        ...

    def update(self, state: State, outputs: Outputs) -> State:
        """Return the state with n examples more; n may be 0. Raises `InputError` for what is not finite or no batch."""
        ...

    def merge(self, a: State, b: State) -> State:
        """Return the state of both states' examples."""
        ...

    def result(self, generated: State, reference: State | None) -> Result:
        """Return the result for generated examples, `reference` being a state of the same monoid over the data.

        Raises `InputError` for fewer than two examples, or a reference that is missing or has features of another size.
        """
        ...
