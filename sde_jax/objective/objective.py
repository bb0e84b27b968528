"""A training objective, of its parts."""

from dataclasses import dataclass, field

from sde_jax.errors import InputError, takes_components
from sde_jax.objective.coupling import Coupling, Independent
from sde_jax.objective.reduction import Mean, Reduction
from sde_jax.objective.times import TableTimes, Times, Uniform
from sde_jax.objective.weighting import Likelihood, Simple, Weighting
from sde_jax.prediction import Epsilon, Parameterization, TableLabel
from sde_jax.prediction.label import require_table
from sde_jax.sde import GaussianPath


@takes_components
@dataclass(frozen=True)
class Objective:
    """What the network predicts, how its errors at the times of a batch are weighed, and what it is shown.

    DDPM and SMLD are `Simple` at `TableTimes` of their paths (Song et al. 2021, appendix E). Raises `InputError` for
    likelihood weights at the times of a table: a chain has no g.
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

    def require_fit(self, sde: GaussianPath) -> None:
        """Raise `InputError` where a part needs a table of times and the path has none."""
        for part in (self.times, getattr(self.parameterization, "label", None)):
            if isinstance(part, TableTimes | TableLabel):
                require_table(sde, type(part).__name__)
