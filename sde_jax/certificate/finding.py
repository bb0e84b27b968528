"""One line of the certificate."""

from collections.abc import Callable
from typing import NamedTuple


class Finding(NamedTuple):
    """What a law was found to be: `measured`, and the `bound` that it is promised to reach or to stay below.

    law, part, on: the law, what is held to it, and on what; at_least: whether the bound is a lower one.
    """

    law: str
    part: str
    on: str
    measured: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the promise is kept; a number that is not one keeps none."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    @property
    def name(self) -> str:
        """The law, the part and what it is held on, for a reader and for a filter."""
        return f"{self.law}: {self.part} on {self.on}" if self.on else f"{self.law}: {self.part}"


class Law(NamedTuple):
    """A finding that is still to be made: its name, and how to make it."""

    name: str
    find: Callable[[], Finding]
