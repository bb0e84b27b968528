"""One line of the certificate."""

from collections.abc import Callable
from typing import NamedTuple


class Law(NamedTuple):
    """A statement about a part: which law, what is held to it, on what, and how it is found out."""

    law: str
    part: str
    on: str
    measure: Callable[[], float]
    bound: float
    at_least: bool = False

    @property
    def name(self) -> str:
        """The law, the part and what it is held on, for a reader and for a filter."""
        return f"{self.law}: {self.part} on {self.on}"

    def find(self) -> "Finding":
        """Return what it is found to be."""
        return Finding(self.law, self.part, self.on, self.measure(), self.bound, self.at_least)


class Finding(NamedTuple):
    """What a law was found to be: `measured`, and the `bound` that it is promised to reach or to stay below."""

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
