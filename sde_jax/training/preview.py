"""Samples while a run trains."""

from dataclasses import dataclass

from sde_jax.errors import InputError


@dataclass(frozen=True)
class Preview:
    """Every `every` steps (0: never) `count` samples of the averaged parameters, by the run's sampler of this name.

    The random numbers are the same each time, so that the pictures can be compared. Raises `InputError` unless
    every >= 0 and count >= 1.
    """

    sampler: str = "ode"
    every: int = 0
    count: int = 16

    def __post_init__(self):
        if self.every < 0 or self.count < 1:
            raise InputError(f"{self}: expected every >= 0 and count >= 1")
