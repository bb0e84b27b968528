"""What a run has made of its time, over all its starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sde_jax.training.clock import PARTS


@dataclass(frozen=True)
class Account:
    """The seconds of every process of a run so far, by part of the `Clock`, and those of steps that were done again.

    wall = the sum of all parts: the time in which a process of the run was alive, as far as its rows tell; where a
    process was killed, up to its last row. Time in which there was no process is no part of it.
    lost: seconds of steps that do not count: undone by a resumption or a rollback to an earlier step, or skipped.
    goodput = (seconds of steps - lost) / wall: of the time that was paid for, the fraction that made the model. Data
    waits, checkpoints and compilations count as none of it, whether repeated or not.
    """

    seconds: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    lost: float = 0.0

    @property
    def wall(self) -> float:
        """The sum of the parts."""
        return sum(self.seconds.values())

    @property
    def good(self) -> float:
        """The seconds of steps that count."""
        return self.seconds["step"] - self.lost

    @property
    def goodput(self) -> float:
        """The fraction of the wall time that is good, 0 of none."""
        return self._share(self.good)

    def plus(self, seconds: Mapping[str, float]) -> "Account":
        """Return the account with more time on every part."""
        return replace(self, seconds={part: self.seconds[part] + seconds[part] for part in PARTS})

    def rewound(self, to: "Account") -> "Account":
        """Return the account of a run that has gone back to where it was at `to`: the steps since then are lost."""
        return replace(self, lost=self.seconds["step"] - to.good)

    def row(self) -> dict[str, float]:
        """Return it as numbers to be logged: the shares sum to 1."""
        shares = {f"share_{part}": self._share(seconds) for part, seconds in self.seconds.items()}
        return {"wall_seconds": self.wall, **shares, "lost_seconds": self.lost, "goodput": self.goodput}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Account":
        """Return the account that a row was made of; one of no time where it holds none."""
        wall = row.get("wall_seconds") or 0.0
        return cls({part: wall * (row.get(f"share_{part}") or 0.0) for part in PARTS}, row.get("lost_seconds") or 0.0)

    def _share(self, seconds: float) -> float:
        return seconds / self.wall if self.wall else 0.0
