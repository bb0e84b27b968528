"""A training objective, of its parts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sde_jax.errors import InputError, takes_components
from sde_jax.nn import ClassLabel
from sde_jax.objective.coupling import Coupling, Independent, Reflow
from sde_jax.objective.reduction import Mean, Reduction
from sde_jax.objective.times import TableTimes, Times, Uniform
from sde_jax.objective.weighting import Likelihood, Simple, Weighting
from sde_jax.prediction import Epsilon, Parameterization, TableLabel, without_score
from sde_jax.prediction.label import require_table
from sde_jax.sde import GaussianPath


@takes_components
@dataclass(frozen=True)
class Objective:
    """What the network predicts, how its errors at the times of a batch are weighed, and what it is shown.

    DDPM and SMLD are `Simple` at `TableTimes` of their paths (Song et al. 2021, appendix E). Raises `InputError` for
    likelihood weights at the times of a table: a chain has no g.

    What its minimiser is depends on the coupling alone: the score of the path, for all uses, where examples and noise
    are independent, and otherwise a velocity, for the probability flow (`minimiser`, `require_score`).
    """

    parameterization: Parameterization = field(default_factory=Epsilon)
    weighting: Weighting = field(default_factory=Simple)
    times: Times = field(default_factory=Uniform)
    coupling: Coupling = field(default_factory=Independent)
    reduction: Reduction = field(default_factory=Mean)

    def __post_init__(self):
        if isinstance(self.weighting, Likelihood) and isinstance(self.times, TableTimes):
            raise InputError(
                "weighting = Likelihood, times = TableTimes: expected another weighting, such as Simple, or times of a "
                "continuous path: a discrete chain has no g(t) to weigh by"
            )

    @property
    def gives_score(self) -> bool:
        """Whether the minimiser is the path's E[x_0 | x_t], and so its score; otherwise it is a velocity alone."""
        return bool(getattr(self.coupling, "gives_score", False))

    def minimiser(self, heard: Iterable[str] = ()) -> str:
        """Return, for a reader, what the network learns, given what it hears of an example (see `Coupling`)."""
        given = "".join(f", {name}" for name in heard)
        if self.gives_score:
            return f"E[x_0 | x_t{given}] of the data, and the score of x_t"
        name = type(self.coupling).__name__
        return f"E[dx_t / dt | x_t{given}], the velocity of pairs by {name}: for the probability flow alone, no score"

    def require_score(self, by: str) -> None:
        """Raise `InputError`, naming what asks for it, where the minimiser gives no score."""
        if not self.gives_score:
            raise InputError(without_score(by, type(self.coupling).__name__))

    def require_heard(self, heard: Mapping[str, Any]) -> None:
        """Raise `InputError` where coupled noise would tell of what the network hears, the condition of each fact.

        Classes are paired within themselves; a vector or an image has no others of its kind, and examples that are
        replaced (`Reflow`) are not those of which it hears.
        """
        if self.gives_score or not heard:
            return
        if isinstance(self.coupling, Reflow):
            raise InputError(f"Reflow replaces the examples, of which the network hears {', '.join(heard)}")
        odd = [name for name, condition in heard.items() if not isinstance(condition, ClassLabel)]
        if odd:
            raise InputError(
                f"objective.coupling = {type(self.coupling).__name__} with a network that hears {', '.join(odd)}: its "
                "noise would tell of them: expected a network that hears labels alone, or coupling = Independent"
            )

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` where the path has no such times, or no table that the network is told of."""
        self.times.require_fit(sde)
        if isinstance(getattr(self.parameterization, "label", None), TableLabel):
            require_table(sde, "TableLabel")
