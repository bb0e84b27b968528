"""Work that goes on where it was killed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from tqdm import tqdm

from sde_jax import processes
from sde_jax.commands.evaluate import states
from sde_jax.commands.workdir import Workdir
from sde_jax.version import __version__

FOLDER = "evaluation/rounds"
State = TypeVar("State")


@dataclass(frozen=True)
class Rounds:
    """A pass over examples 0 to `total` - 1, in rounds of `size`, whose state outlives the process.

    of: what the state is of, JSON-able; a state of anything else is never taken up. The state, a pytree of NumPy arrays
    whose structure is that of the first one, is written to `folder` as a whole or not at all: after a round, but not
    within `seconds` of the last time, and after the last. The rounds are the same whenever the work is stopped, and so
    is the result, to the bit. Of several processes the first has the state; the others hand on what they are given.
    """

    workdir: Workdir
    of: Mapping[str, Any]
    total: int
    size: int
    seconds: float
    folder: str = FOLDER

    @property
    def name(self) -> str:
        """The file of the state, in the run's directory."""
        return states.file_of(self.folder, self._of)

    @property
    def _of(self) -> dict[str, Any]:
        return {**self.of, "total": self.total, "size": self.size, "sde_jax": __version__, "jax": jax.__version__}

    def run(self, start: State, advance: Callable[[State, int, int], State], about: str = "evaluate") -> State:
        """Return the state after all rounds; `advance(state, first, last)` makes that of `last` from that of `first`.

        Processes call it together, and `advance` is called by all for the same rounds.
        """
        fresh = {"position": np.array(0), "state": start}
        kept = states.read(self.workdir, self.name, self._of, fresh) if processes.is_first() else None
        position, state = int((kept or fresh)["position"]), (kept or fresh)["state"]
        position, written = processes.first_says(position), time.monotonic()
        silent = position >= self.total or not processes.is_first()
        with tqdm(total=self.total, initial=position, desc=about, unit="example", disable=silent) as bar:
            while position < self.total:
                last = min(position + self.size, self.total)
                state, position = advance(state, position, last), last
                bar.update(position - bar.n)
                if position == self.total or time.monotonic() - written >= self.seconds:
                    tree = {"position": np.array(position), "state": state}
                    states.write(self.workdir, self.name, self._of, tree)
                    written = time.monotonic()
        return state

    def forget(self) -> None:
        """Remove the file of the state, where it is of no more use."""
        if processes.is_first():
            (self.workdir.path / self.name).unlink(missing_ok=True)
