"""What a configuration takes for features."""

from typing import Protocol

from sde_jax.metrics import Extractor


class Features(Protocol):
    """`sde_jax.metrics.Features`, as those that a configuration can name: what this package exports."""

    def open(self, shape: tuple[int, ...], levels: int | None) -> Extractor:
        """Return the extractor for examples of a shape with `levels` levels, None for real numbers.

        Raises `InputError` where there can be none for these, or its weights cannot be read.
        """
        ...
